//! A cable to a server that a test can cut: connections through it end, and what is on its way is lost.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::Mutex;

/// The cable.
pub struct Cable {
    port: u16,
    inside: Arc<Inside>,
}

#[derive(Default)]
struct Inside {
    is_cut: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Cable {
    /// To a port of this machine.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let cable = Self { port: listener.local_addr().unwrap().port(), inside: Arc::default() };
        let inside = Arc::clone(&cable.inside);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if inside.is_cut.load(Ordering::Acquire) {
                    continue;
                }
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                inside.carry(near, far);
            }
        });
        cable
    }

    /// Where its near end is.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection. Those that come later are as good as before.
    pub fn interrupt(&self) {
        for connection in self.inside.connections.lock().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection, and those that come.
    pub fn cut(&self) {
        self.inside.is_cut.store(true, Ordering::Release);
        self.interrupt();
    }

    /// Connections that come are carried again.
    pub fn mend(&self) {
        self.inside.is_cut.store(false, Ordering::Release);
    }
}

impl Inside {
    fn carry(&self, near: TcpStream, far: TcpStream) {
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || {
                let mut part = [0; 16 * 1024];
                while let Ok(read @ 1..) = from.read(&mut part) {
                    if to.write_all(&part[..read]).is_err() {
                        break;
                    }
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
        self.connections.lock().extend([near, far]);
    }
}
