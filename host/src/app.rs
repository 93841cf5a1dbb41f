//! SKELETON app
