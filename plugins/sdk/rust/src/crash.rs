//! What a panic leaves behind.

/// Has a panic tell the server's log its words and its place before the instance traps: the server shows them with the fault.
#[cfg(target_arch = "wasm32")]
pub(crate) fn told() {
    static SET: std::sync::Once = std::sync::Once::new();
    SET.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let words = panic.payload_as_str().unwrap_or("of another type than text");
            let at = panic.location().map(|at| format!(", at {}:{}", at.file(), at.line()));
            crate::log::error(&format!("panic: {words}{}", at.unwrap_or_default()));
        }));
    });
}

/// Off wasm the test harness tells of panics.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const fn told() {}
