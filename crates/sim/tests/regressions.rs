//! Seeds that failed once, and that a run is repeatable.

use dunlin_sim::{Options, run};

/// Each with what it found, in a run with a journal.
const SEEDS: &[(u64, &str)] = &[
    (12, "a Session that began while the log was full was promised to its Client before the log had it"),
    (116, "a message was given up because the log was too busy to take it when it was to be read back"),
    (119, "a message was given up because the log was too full to take it when it was to be read back"),
    (1074, "a Will that was on its way to another shard was lost with the Session that had left it"),
    (1184, "the same, of a retained Will"),
    (
        1288,
        "what was sent after a restart, and not acknowledged, expired before the next connection, as if it were not known to be sent",
    ),
    (1293, "the run was over while a group had more for its member, which waited for the log"),
    (
        1463,
        "a retained message that a crash may have lost came again, and the model knew of the first time only",
    ),
    (
        1466,
        "of two Sessions that began and ended while the log was slow, two crashes brought back the wrong one in the model",
    ),
    (
        1524,
        "a SUBSCRIBE was refused for want of room, of which its client was not told before the process ended",
    ),
    (1600, "a retained Will that came again expired when nobody knew when it went out"),
    (
        2043,
        "a retained message was sent that a newer one had replaced, which a crash lost and its publisher sent again",
    ),
    (
        2281,
        "a log that began its life with hardly any room was busy for ever, also when there was room again",
    ),
    (
        30_316,
        "a Will was expected that may have been made void, as a second crash was taken for proof that it had gone out",
    ),
    (
        30_644,
        "a first copy was not sent again, as its time was over, and the model counted from the second one",
    ),
];

/// Each with what it found, in the run that the seed gives by itself.
const AS_DRAWN: &[(u64, &str)] = &[
    (
        7861,
        "a CONNECT was refused as the log, though never full, was too slow, and the model thought it full",
    ),
    (8001, "the same, of a log that waited for one segment after the other"),
    (8152, "a CONNECT waited in silence for a full log, in the place of a Session that was not kept"),
    (
        8684,
        "what was passed over because it had expired came after all, behind what was sent since, as a crash had made that forgotten",
    ),
    (10_792, "a group did not know yet that its member may have a topic, and the model thought it did"),
    (
        10_814,
        "what a group could not give to a member, because it was too large or late, was taken for lost with another member",
    ),
    (11_748, "a newcomer was not given the time that its retained messages took"),
    (
        12_107,
        "a process that was killed left a manifest that was not synced, and the next one began with the other copy",
    ),
    (12_299, "a Client that took its answers slowly, and was not read meanwhile, was found silent"),
    (
        13_623,
        "what was sent again after a crash, which had not lost it, expired with the interval of the first time",
    ),
    (
        16_218,
        "a batch was told to be written, its sync failed, and the process ended before it was written to another segment",
    ),
    (16_768, "what was sent again after a crash expired with the interval of the first time, once more"),
    (19_080, "a crash undid the end of an exchange, and the model held it for certain after the next crash"),
    (
        23_726,
        "a Will was expected that its client had made void in its delay, as a second crash was taken for proof that it had gone out",
    ),
    (
        26_298,
        "what had expired, and a crash made the Server send all the same, was to come behind the others ever after in the model",
    ),
    (
        33_582,
        "what a full queue had dropped came after all, behind what was sent since, as a crash had made that forgotten",
    ),
    (
        40_120,
        "one that does so and says nothing more was to be found silent in the model, although it was not read",
    ),
    (
        40_977,
        "a client that did not get its own message live, for No Local, got it with a snapshot that was late",
    ),
    (
        47_763,
        "an UNSUBSCRIBE was answered before the SUBSCRIBE that had no room, and the model took what it was refused for what it had",
    ),
    (
        70_026,
        "a Will was expected that its client had made void in its delay, as a connection's end with the process was taken for stored",
    ),
    (
        96_217,
        "a repeated QoS 2 PUBLISH was answered before another shard had written the message, which a crash lost",
    ),
];

#[test]
fn seeds_that_failed_as_drawn_pass() {
    for (seed, found) in AS_DRAWN.iter().copied() {
        if let Err(failure) = run(seed, &Options::default()) {
            panic!("it found before: {found}\n{failure}");
        }
    }
}

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, found) in SEEDS.iter().copied() {
        if let Err(failure) = run(seed, &Options { journal: Some(true), ..Options::default() }) {
            panic!("it found before: {found}\n{failure}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in [1, 2, 3] {
        let run = || run(seed, &Options::default()).map_err(|failure| (failure.rule, failure.detail));
        let first = run();
        assert_eq!(first, run());
        assert_ne!(first.ok().map(|summary| summary.trace_hash), Some(0));
    }
}
