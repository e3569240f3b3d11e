use proptest::prelude::*;

use super::*;
use crate::analysis::tests::{close, printed};

fn gate() -> CapacityGate {
    CapacityGate { concurrency_per_endpoint: 8, max_wait_probability: 0.05, max_utilization: 0.85, peak_factor: 1.0 }
}

#[test]
fn blocking_is_as_published() {
    // 15 lines at 1 % carry 8.108 erlangs and 168 lines at 3 % carry 158.333 (erlang.com, manual); 33 1/3 at 1 % take
    // 45 lines (erlang.com, forum).
    printed(blocking(15, 8.108), "0.0099996");
    printed(blocking(44, 100.0 / 3.0), "0.013160");
    printed(blocking(45, 100.0 / 3.0), "0.009654");
    printed(blocking(167, 158.333), "0.031794");
    printed(blocking(168, 158.333), "0.029093");
    for (slots, load, fraction) in [(1, 1.0, 1.0 / 2.0), (2, 1.0, 1.0 / 5.0), (3, 2.0, 4.0 / 19.0)] {
        close(blocking(slots, load), fraction);
    }
    for (slots, load, expected) in [
        (5, 3.0, 0.110_054_347_826_086_96),
        (10, 5.0, 0.018_384_570_336_648_14),
        (10, 8.0, 0.121_661_064_252_951_5),
        (20, 12.0, 0.009_795_639_420_064_077),
        (50, 40.0, 0.018_690_671_109_632_243),
        (100, 84.0, 0.009_872_528_609_200_787),
        (100, 90.0, 0.026_957_380_464_359_214),
        (1000, 970.0, 0.009_529_193_271_718_587),
    ] {
        close(blocking(slots, load), expected);
    }
}

#[test]
fn waiting_is_as_published() {
    close(waiting(2, 1.0), 1.0 / 3.0);
    close(waiting(3, 2.0), 4.0 / 9.0);
    printed(waiting(10, 6.0), "0.101299");
    for (slots, load, expected, mean) in [
        (1, 0.5, 0.5, "1"),
        (5, 4.0, 0.554_112_554_112_554_1, "0.554113"),
        (10, 8.0, 0.409_180_150_796_443_5, "0.204590"),
        (10, 9.0, 0.668_731_524_107_697, "0.668732"),
        (20, 18.0, 0.550_769_004_816_117_7, "0.275385"),
        (50, 45.0, 0.363_864_467_206_988_34, "0.0727729"),
        (100, 90.0, 0.216_940_480_906_366_25, "0.0216940"),
        (100, 95.0, 0.506_456_853_913_020_6, "0.101291"),
        (1000, 970.0, 0.242_823_336_180_411_02, "0.00809411"),
    ] {
        close(waiting(slots, load), expected);
        printed(mean_wait(slots, load), mean);
    }
    // 1600 rps of 50 ms each.
    printed(waiting(97, 80.0), "0.0423");
    printed(mean_wait(97, 80.0) * 50.0, "0.124");
    printed(waiting(100, 80.0), "0.01965");
    close(waiting_longer(100, 80.0, 20.0 / 50.0), 6.590_641_907_656_143e-6);
    printed(waiting(85, 80.0), "0.4748");
    printed(waiting(96, 80.0), "0.05379");
    printed(waiting(104, 80.0), "0.00633");
    printed(waiting(114, 96.0), "0.04778");
}

#[test]
fn the_largest_load_at_one_percent() {
    for (slots, expected) in [
        (1, "0.0101"),
        (2, "0.1526"),
        (3, "0.4555"),
        (4, "0.8694"),
        (5, "1.3608"),
        (6, "1.9090"),
        (7, "2.5009"),
        (8, "3.1276"),
        (9, "3.7825"),
        (10, "4.4612"),
        (20, "12.0306"),
        (30, "20.3373"),
        (50, "37.9014"),
        (100, "84.0642"),
        (200, "179.738"),
    ] {
        printed(load_blocking(slots, 0.01), expected);
    }
    for (slots, load) in [(10, 6.0), (100, 90.0), (1000, 970.0)] {
        close(load_waiting(slots, waiting(slots, load)), load);
    }
}

#[test]
fn the_fewest_slots() {
    for (load, expected) in [
        (5.0, [7, 8, 9, 10, 12, 14]),
        (8.0, [10, 12, 13, 14, 16, 19]),
        (20.0, [23, 26, 27, 29, 32, 36]),
        (50.0, [54, 58, 61, 64, 68, 74]),
        (80.0, [85, 90, 94, 97, 103, 110]),
        (100.0, [106, 111, 115, 119, 125, 134]),
        (400.0, [411, 422, 429, 436, 449, 465]),
    ] {
        assert_eq!([0.5, 0.2, 0.1, 0.05, 0.01, 0.001].map(|limit| slots_for(load, limit)), expected, "{load}");
    }
    assert_eq!((slots_for(0.0, 0.05), slots_for(0.0, 0.0)), (1, 1));
    assert_eq!((slots_for(f64::NAN, 0.05), slots_for(f64::INFINITY, 0.05)), (u64::MAX, u64::MAX));
}

#[test]
fn a_million_slots_are_no_trouble() {
    // Halfin and Whitt 1981: with n = a + b * sqrt(a), waiting is near 1 / (1 + b * Phi(b) / phi(b)); b = 1 gives 0.2234.
    let waits = waiting(1_000_000, 999_000.0);
    assert!((waits - 0.2234).abs() < 0.001, "{waits}");
    assert!((0.99..1.0).contains(&waiting(1_000_000, 999_999.0)));
    assert!(waiting(1_000_000, 1_000_000.0) >= 1.0);
    assert!(blocking(1_000_000, 10.0) <= 0.0);
    let slots = slots_for(999_000.0, 0.2234);
    assert!((999_990..=1_000_010).contains(&slots), "{slots}");
    // Beyond it, more waiting is said and more slots are asked for than there would be, never less.
    assert!(waiting(4_000_000, 3_998_000.0) >= waits);
    assert!(waiting(u64::MAX, 1e12) <= 0.0 && waiting(u64::MAX, f64::MAX) >= 1.0);
    let slots = slots_for(4e6, 0.05);
    assert!((4_004_000..4_010_000).contains(&slots), "{slots}");
    assert!(waiting(slots, 4e6) <= 0.05);
}

#[test]
fn any_load_is_no_trouble() {
    for load in [1e6, 123_456_789.0, 1e12, 4e15] {
        for limit in [1e-9, 0.05, 0.999, 1.0] {
            let slots = slots_for(load, limit);
            assert!(waiting(slots, load) <= limit && load < float(slots), "{load} {limit}: {slots}");
            assert!(waiting(slots - 1, load) > limit || float(slots - 1) <= load, "{load} {limit}: {slots}");
        }
    }
    assert_eq!((slots_for(1e300, 0.05), slots_for(5.0, f64::NAN)), (u64::MAX, u64::MAX));
}

#[test]
fn what_is_no_load_waits_for_ever() {
    for load in [f64::NAN, f64::INFINITY, 1.0, 2.0] {
        assert!(waiting(1, load) >= 1.0 && mean_wait(1, load).is_infinite(), "{load}");
        assert!(waiting_longer(1, load, 3.0) >= 1.0, "{load}");
    }
    assert!(waiting(0, 0.0) >= 1.0 && blocking(0, 0.0) >= 1.0 && blocking(0, 5.0) >= 1.0);
    assert!(waiting(1, 0.0) <= 0.0 && mean_wait(1, 0.0) <= 0.0);
}

#[test]
fn many_at_once_are_as_one_by_one() {
    for load in [0.0, 3.0, 80.0, 200.0] {
        let each = waiting_each(8, 20, load);
        assert_eq!(each.len(), 20);
        (1..).zip(each).for_each(|(count, each)| close(each, waiting(8 * count, load)));
    }
    let each = waiting_each(600_000, 2, 900_000.0);
    close(each[0], 1.0);
    // Below the smallest normal number both are as good as zero.
    assert!((each[1] - waiting(1_000_000, 900_000.0)).abs() < f64::MIN_POSITIVE, "{each:?}");
}

#[test]
fn a_shut_gate_says_what_is_missing() {
    let room = check(&gate(), 80.0, 1.0, 12);
    assert_eq!(
        room.to_string(),
        "needs 97 slots = 13 endpoints, has 12 (96 slots): probability of waiting 5.4 % > 5 %"
    );
    assert_eq!(
        (room.open, room.slots, room.needed_slots, room.needed_endpoints, room.missing()),
        (false, 96, 97, 13, 1)
    );
    close(room.wait_probability, waiting(96, 80.0));

    let room = check(&gate(), 80.0, 1.0, 13);
    assert_eq!((room.open, room.missing()), (true, 0));
    assert_eq!(
        room.to_string(),
        "13 endpoints (104 slots) for 80.0 in flight: probability of waiting 0.6 %, 77 % used"
    );

    let room = check(&CapacityGate { peak_factor: 1.2, ..gate() }, 80.0, 1.0, 12);
    assert_eq!((room.open, room.needed_slots, room.needed_endpoints, room.missing()), (false, 114, 15, 3));
    assert_eq!(
        room.to_string(),
        "needs 114 slots = 15 endpoints, has 12 (96 slots): probability of waiting 100 % > 5 %, utilisation 100 % > 85 %"
    );
}

#[test]
fn a_gate_at_its_limit_is_open() {
    let busy = CapacityGate { max_wait_probability: 1.0, max_utilization: 0.8, ..gate() };
    for slots in 1_u32..2_000 {
        let one = CapacityGate { concurrency_per_endpoint: 1, ..busy };
        let load = f64::from(slots) * 0.8;
        let room = check(&one, load, 1.0, slots.into());
        let needed = room.needed_slots;
        assert!(check(&one, load, 1.0, needed).open && !check(&one, load, 1.0, needed - 1).open, "{room:?}");
    }
    // To one digit it would be 80 % > 80 %.
    let close = check(&busy, 640.08, 1.0, 100).to_string();
    assert_eq!(close, "needs 801 slots = 101 endpoints, has 100 (800 slots): utilisation 80.01 % > 80 %");
}

#[test]
fn nothing_in_flight_and_nothing_healthy() {
    for in_flight in [0.0, -1.0, 5.0, f64::NAN] {
        let room = check(&gate(), in_flight, 1.0, 0);
        assert_eq!((room.open, most(&gate(), in_flight, 0)), (false, 0), "{in_flight}");
    }
    assert_eq!(check(&gate(), 0.0, 1.0, 0).to_string(), "needs 1 slot = 1 endpoint, has none that is healthy");
    assert_eq!(check(&gate(), 0.0, 0.0, 0).missing(), 1);
    let room = check(&gate(), 0.0, 1.0, 1);
    assert_eq!((room.open, room.missing(), most(&gate(), 0.0, 1)), (true, 0, TOTAL_WEIGHT));
    let room = check(&gate(), f64::NAN, 1.0, u64::MAX);
    assert_eq!((room.open, most(&gate(), f64::NAN, 12)), (false, 0));
    assert_eq!(room.to_string(), "how many requests are in flight is not known");
}

#[test]
fn the_most_is_what_the_gate_lets_through() {
    // Of 80 in flight 12 endpoints carry 79.72: by waiting, not by utilisation.
    assert_eq!(most(&gate(), 80.0, 12), 9_965);
    assert_eq!((most(&gate(), 80.0, 13), most(&gate(), 8_000.0, 13)), (TOTAL_WEIGHT, 108));
}

proptest! {
    #[test]
    fn the_gate_opens_with_what_it_asks_for(
        in_flight in 0.0..5_000.0, parts in 0..=TOTAL_WEIGHT, healthy in 0_u64..200, each in 1_u32..64,
        wait in 0.001..1.0, used in 0.1..1.0
    ) {
        let gate = CapacityGate {
            concurrency_per_endpoint: each, max_wait_probability: wait, max_utilization: used, peak_factor: 1.2,
        };
        let share = f64::from(parts) / f64::from(TOTAL_WEIGHT);
        let room = check(&gate, in_flight, share, healthy);
        prop_assert_eq!(room.open, room.missing() == 0, "{:?}", &room);
        prop_assert_eq!(room.open, healthy >= room.needed_endpoints);
        prop_assert!(check(&gate, in_flight, share, room.needed_endpoints).open);
        let most = most(&gate, in_flight, healthy);
        if healthy > 0 {
            prop_assert_eq!(room.open, parts <= most);
        }
    }

    #[test]
    fn all_is_as_the_recurrence_has_it(slots in 0_u64..20_000, busy in 0.0..1.5, few in 0.0..500.0, limit in 1e-9..1.0) {
        for load in [float(slots) * busy, few] {
            let slots = usize::try_from(slots).expect("few");
            let plain = Recurrence::new(load).nth(slots).expect("endless");
            let value = blocking(slots as u64, load);
            // The recurrence loses digits where it underflows.
            prop_assert!((value - plain).abs() <= 1e-9 * plain || plain < 1e-290, "{slots} {load}: {value} {plain}");
        }
        let enough = |(slots, blocking): &(usize, f64)| {
            few < servers(*slots) && waiting_from(*slots, few, *blocking) <= limit
        };
        let plain = Recurrence::new(few).enumerate().find(enough).expect("endless").0 as u64;
        prop_assert_eq!(slots_for(few, limit), plain);
    }

    #[test]
    fn waiting_grows_with_load_and_falls_with_slots(slots in 1_u64..500, load in 0.0..500.0) {
        let waits = waiting(slots, load);
        prop_assert!((0.0..=1.0).contains(&waits));
        prop_assert!(waits <= waiting(slots, load + 1.0) && waits >= waiting(slots + 1, load));
        prop_assert!(blocking(slots, load) <= waits);
        prop_assert!(waiting(slots * 3, load * 3.0) <= waits + 1e-12, "the larger system waits less");
    }
}
