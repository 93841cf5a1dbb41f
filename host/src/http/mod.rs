//! SKELETON http
