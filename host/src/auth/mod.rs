//! SKELETON auth
