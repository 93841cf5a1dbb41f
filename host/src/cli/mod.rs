//! SKELETON cli
