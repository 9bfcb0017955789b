//! What an idle Client costs an engine: bounds, so that it does not creep up with each field that somebody adds.
//!
//! What few of them have belongs behind one pointer: [`crate::rarely::Rarely`].

use crate::connection::Connection;
use crate::session::Session;
use crate::slots::Slots;
use crate::time::Time;
use crate::timers::TimerKey;

#[test]
fn an_idle_client_is_small() {
    let connection = size_of::<Option<Connection>>();
    let session = Slots::<Session>::SLOT;
    // Its deadline in the heap, and in the tables of both.
    let timers = size_of::<(Time, TimerKey)>() + 2 * size_of::<Time>();
    assert!(connection <= 112, "a connection: {connection} bytes");
    assert!(session <= 128, "a session: {session} bytes");
    assert!(timers <= 32, "its timers: {timers} bytes");
}
