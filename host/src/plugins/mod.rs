//! SKELETON plugins
