//! Where the work of a request is done: small work at once, where its request arrived; other work on threads of its own, within
//! the time that the request has.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

use crate::refusal::Refusal;

/// A request's place among those that are answered at a time, and the time that it has. Work that goes on after its request was
/// given up keeps the place.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    #[expect(dead_code, reason = "held until the work ends")]
    permit: Arc<OwnedSemaphorePermit>,
    begun: Instant,
    time: Duration,
}

/// How much work there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Some tens of microseconds' worth: another thread would cost more than it saves.
    Small,
    /// More.
    Large,
}

/// Bytes of a body that are read at once.
const SMALL_BODY: usize = 64 << 10;
/// Multiply-adds that are done at once: a quarter of a millisecond's worth.
const SMALL_PRODUCT: usize = 1 << 21;

impl Place {
    /// A place for `time`, from now on.
    pub(crate) fn new(permit: OwnedSemaphorePermit, time: Duration) -> Self {
        Self { permit: Arc::new(permit), begun: Instant::now(), time }
    }

    /// All the time that the request has.
    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    /// The time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.time.saturating_sub(self.begun.elapsed())
    }

    /// That there is time left.
    ///
    /// # Errors
    /// 504 where there is none.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.left().is_zero() { Err(late(self.time)) } else { Ok(()) }
    }
}

impl Size {
    /// Of taking a body of so many bytes apart.
    pub(crate) fn of_body(bytes: usize) -> Self {
        if bytes <= SMALL_BODY { Self::Small } else { Self::Large }
    }

    /// Of `rows` through a network of so many `weights`.
    pub(crate) fn of_rows(rows: usize, weights: usize) -> Self {
        let is_small = rows.checked_mul(weights).is_some_and(|product| product <= SMALL_PRODUCT);
        if is_small { Self::Small } else { Self::Large }
    }
}

/// Does `work` within the time that is left. A panic in it is an error of this request, and of no other.
///
/// # Errors
/// That of `work`; 504 past the time, 500 after a panic.
pub(crate) async fn done<T: Send + 'static>(
    size: Size,
    place: Place,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let work = || catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)));
    if size == Size::Small {
        return work();
    }
    let (left, time) = (place.left(), place.time);
    let task = tokio::task::spawn_blocking(move || {
        // Who has waited for a thread for too long is not there any more.
        place.check()?;
        work()
    });
    match tokio::time::timeout(left, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(Refusal::internal(format!("the work did not come to its end: {error}"))),
        Err(_) => Err(late(time)),
    }
}

fn late(time: Duration) -> Refusal {
    let message =
        format!("the answer was not computed within {} s: ask for fewer rows at a time", time.as_secs_f64());
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, message)
}

/// What a request hears of a panic.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Refusal {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string);
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Refusal::internal(format!("a defect of the server: {words}"))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::Semaphore;

    use super::*;

    fn place(places: &Arc<Semaphore>) -> Place {
        Place::new(Arc::clone(places).try_acquire_owned().unwrap(), Duration::from_millis(20))
    }

    #[test]
    fn a_panic_is_an_error_and_late_work_keeps_its_place_until_it_ends() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let places = Arc::new(Semaphore::new(1));
        for size in [Size::Small, Size::Large] {
            let panics = || -> Result<(), Refusal> { panic!("so it goes") };
            let refusal = runtime.block_on(done(size, place(&places), panics)).unwrap_err();
            assert_eq!(refusal, Refusal::internal("a defect of the server: so it goes"));
        }
        let slow = || {
            thread::sleep(Duration::from_millis(300));
            Ok(())
        };
        let refusal = runtime.block_on(done(Size::Large, place(&places), slow)).unwrap_err();
        assert_eq!((refusal.status, places.available_permits()), (StatusCode::GATEWAY_TIMEOUT, 0));
        while places.available_permits() == 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn sizes_do_not_overflow() {
        assert_eq!(Size::of_rows(1, 470_000), Size::Small);
        assert_eq!(Size::of_rows(usize::MAX, 2), Size::Large);
    }
}
