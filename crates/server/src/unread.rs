//! What of a request's body nobody reads.
//!
//! Guarantees: an answer that comes before the last of its request reaches the sender. For [`STAY`] after it the rest is
//! taken and thrown away, [`MOST`] bytes of it; what comes then waits at the sender's end. Only after that the sender is told
//! that no more is wanted, which many a client takes for a failure and forgets the answer.

use axum::http::Request;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::oneshot;

/// How many bytes are thrown away at most.
pub(crate) const MOST: usize = 512 << 10;
/// How long the rest of a request may still come after the answer has been given.
pub(crate) const STAY: Duration = Duration::from_secs(2);

/// Held as long as the answer is being given.
pub(crate) struct Answering(#[expect(dead_code, reason = "it says something by ending")] oneshot::Sender<()>);

/// A request whose body may be left unread, and what is to be held until it was answered.
pub(crate) fn leavable(request: Request<Incoming>) -> (Request<Leavable>, Answering) {
    let (answering, answered) = oneshot::channel();
    (request.map(|body| Leavable(Some((body, answered)))), Answering(answering))
}

/// A request's body that may be left unread.
pub(crate) struct Leavable(Option<(Incoming, oneshot::Receiver<()>)>);

impl Body for Leavable {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some((body, _)) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, |(body, _)| body.size_hint())
    }
}

impl Drop for Leavable {
    fn drop(&mut self) {
        if let Some((body, answered)) = self.0.take()
            && !body.is_end_stream()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Ends with the connection at the latest: nothing comes from it then.
            runtime.spawn(see_off(body, answered));
        }
    }
}

async fn see_off(mut body: Incoming, answered: oneshot::Receiver<()>) {
    // Ends by being dropped, with the answer or the connection.
    let _ = answered.await;
    let rest = async {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, Bytes::len);
            if taken > MOST {
                // The connection's window does its work.
                return std::future::pending().await;
            }
        }
    };
    let _ = tokio::time::timeout(STAY, rest).await;
}
