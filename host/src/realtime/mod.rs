//! SKELETON realtime
