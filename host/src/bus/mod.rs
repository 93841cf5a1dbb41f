//! SKELETON bus
