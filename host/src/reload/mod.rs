//! SKELETON reload
