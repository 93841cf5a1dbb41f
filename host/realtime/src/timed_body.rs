//! A request's body with a deadline. Otherwise its reader would wait for its end as long as the peer likes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use tidegate_core::telemetry;

/// Whether the body came too late.
#[derive(Debug, Clone, Default)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    pub(super) fn is_late(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Gives a body this much time from now on; afterwards reading it fails.
pub(super) fn in_time(body: Body, time: Duration) -> (Body, Late) {
    let late = Late::default();
    let timed = TimedBody { body, deadline: Box::pin(sleep(time)), late: late.clone() };
    (Body::new(timed), late)
}

struct TimedBody {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    late: Late,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Checked first: a peer that always has another byte is late, too.
        if self.deadline.as_mut().poll(cx).is_ready() {
            if !self.late.0.swap(true, Ordering::AcqRel) {
                telemetry::tcp_timeout("body");
            }
            return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_fails_when_its_time_is_over() {
        let drips = futures_util::stream::unfold((), |()| async {
            sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"a")), ()))
        });
        let (body, late) = in_time(Body::from_stream(drips), TIME);
        assert!(body.collect().await.is_err());
        assert!(late.is_late());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_in_time_is_read_whole() {
        let (body, late) = in_time(Body::from("whole"), TIME);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
        assert!(!late.is_late());
    }
}
