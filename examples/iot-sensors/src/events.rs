//! Sensor events: nested JSON of about 250 bytes, some of them malformed, late, repeated or implausible.
//!
//! An event is a pure function of the seed and its position. So whoever knows the seed knows what was at
//! every (partition, offset), without having kept anything.

use chrono::{DateTime, SecondsFormat};

/// What one stream is like. Each partition is a plant with machines of its own.
#[derive(Debug, Clone)]
pub struct Stream {
    pub seed: u64,
    /// Event time of offset 0, milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Event time between neighbours of a partition, milliseconds.
    pub step_ms: i64,
    /// Machines of each partition.
    pub machines: u64,
    pub rates: Rates,
    /// From this offset on, events carry `firmware` and `reading.humidity`.
    pub new_fields_from: i64,
}

/// How many of a thousand events are of each kind; the others are plain.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub malformed: u64,
    pub late: u64,
    pub duplicate: u64,
    pub implausible: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// Not a JSON document: cut short, empty, two documents, or noise.
    Malformed,
    /// Its event time lies 20 to 60 minutes behind that of its neighbours.
    Late,
    /// The bytes of the plain event at that offset of the same partition once more.
    Duplicate {
        of: i64,
    },
    /// A temperature that no machine survives.
    Implausible,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: Kind,
    /// The machine's id, as the record's key.
    pub key: String,
    pub payload: String,
}

/// The farthest that a duplicate follows the event it repeats, in offsets.
const DUPLICATE_REACH: u64 = 50;
/// No event before this offset is late: a watermark must have been set before.
const FIRST_LATE: i64 = 20;

impl Stream {
    pub fn kind(&self, partition: i32, offset: i64) -> Kind {
        let Rates { malformed, late, duplicate, implausible } = self.rates;
        let roll = self.draw(partition, offset, Draw::Kind) % 1000;
        if roll < malformed {
            return Kind::Malformed;
        }
        if roll < malformed + late {
            return if offset < FIRST_LATE { Kind::Plain } else { Kind::Late };
        }
        if roll < malformed + late + implausible {
            return Kind::Implausible;
        }
        if roll < malformed + late + implausible + duplicate {
            let of = offset - 1 - (self.draw(partition, offset, Draw::Origin) % DUPLICATE_REACH) as i64;
            if of >= 0 && self.kind(partition, of) == Kind::Plain {
                return Kind::Duplicate { of };
            }
        }
        Kind::Plain
    }

    pub fn event(&self, partition: i32, offset: i64) -> Event {
        let kind = self.kind(partition, offset);
        let written_at = if let Kind::Duplicate { of } = kind { of } else { offset };
        let document = self.document(partition, written_at, kind);
        let payload = match kind {
            Kind::Malformed => self.mangle(partition, offset, document),
            Kind::Plain | Kind::Late | Kind::Duplicate { .. } | Kind::Implausible => document,
        };
        Event { kind, key: self.machine(partition, written_at), payload }
    }

    /// Event time at a position, milliseconds since the Unix epoch.
    pub fn event_time_ms(&self, partition: i32, offset: i64) -> i64 {
        match self.kind(partition, offset) {
            Kind::Duplicate { of } => self.punctual_ms(partition, of),
            Kind::Late => {
                let minutes = 20 + (self.draw(partition, offset, Draw::Delay) % 40) as i64;
                self.punctual_ms(partition, offset) - minutes * 60_000
            }
            Kind::Plain | Kind::Malformed | Kind::Implausible => self.punctual_ms(partition, offset),
        }
    }

    /// A few steps out of order, as networks have it.
    fn punctual_ms(&self, partition: i32, offset: i64) -> i64 {
        let jitter = (self.draw(partition, offset, Draw::Jitter) % 4) as i64 * self.step_ms;
        self.start_ms + offset * self.step_ms - jitter
    }

    fn machine(&self, partition: i32, offset: i64) -> String {
        let machine = self.draw(partition, offset, Draw::Machine) % self.machines.max(1);
        format!("plant-{partition:02}-machine-{machine:02}")
    }

    fn document(&self, partition: i32, offset: i64, kind: Kind) -> String {
        let temperature = match kind {
            Kind::Implausible => 900.0,
            Kind::Plain | Kind::Malformed | Kind::Late | Kind::Duplicate { .. } => {
                60.0 + self.fraction(partition, offset, Draw::Temperature) * 30.0
            }
        };
        let pressure = 1.0 + self.fraction(partition, offset, Draw::Pressure) * 4.0;
        let vibration = self.fraction(partition, offset, Draw::Vibration);
        let (firmware, humidity) = if offset < self.new_fields_from {
            (String::new(), String::new())
        } else {
            let humidity = self.fraction(partition, offset, Draw::Humidity) * 100.0;
            (r#","firmware":"2.1.0""#.to_owned(), format!(r#","humidity":{humidity:.1}"#))
        };
        let machine = self.machine(partition, offset);
        let time = timestamp(self.event_time_ms(partition, offset));
        let status = if vibration > 0.95 { "alarm" } else { "ok" };
        format!(
            r#"{{"event_id":"{partition}-{offset}","machine_id":"{machine}","ts":"{time}","status":"{status}"{firmware},"reading":{{"temperature":{temperature:.2},"pressure":{pressure:.3}{humidity},"vibration":{{"x":{vibration:.4},"y":{:.4}}}}},"site":{{"plant":{partition},"line":"{}"}}}}"#,
            vibration / 2.0,
            ["north", "south", "east"][(self.draw(partition, offset, Draw::Line) % 3) as usize],
        )
    }

    fn mangle(&self, partition: i32, offset: i64, document: String) -> String {
        match self.draw(partition, offset, Draw::Mangling) % 4 {
            0 => document[..document.len() / 2].to_owned(),
            1 => String::new(),
            2 => format!("{document}{document}"),
            _ => format!("noise {offset}"),
        }
    }

    fn fraction(&self, partition: i32, offset: i64, draw: Draw) -> f64 {
        (self.draw(partition, offset, draw) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn draw(&self, partition: i32, offset: i64, draw: Draw) -> u64 {
        let position = ((partition as u64) << 48) ^ offset as u64;
        mix(mix(self.seed ^ draw as u64) ^ position)
    }
}

/// What a number is drawn for: draws for different purposes are independent.
#[derive(Debug, Clone, Copy)]
enum Draw {
    Kind,
    Origin,
    Delay,
    Jitter,
    Machine,
    Line,
    Temperature,
    Pressure,
    Vibration,
    Humidity,
    Mangling,
}

/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn timestamp(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream {
            seed: 7,
            start_ms: 1_767_225_600_000,
            step_ms: 1000,
            machines: 5,
            rates: Rates { malformed: 10, late: 20, duplicate: 30, implausible: 40 },
            new_fields_from: 10_000,
        }
    }

    #[test]
    fn each_kind_has_its_share() {
        let stream = stream();
        let mut seen = [0; 5];
        for offset in 0..20_000 {
            let index = match stream.kind(3, offset) {
                Kind::Plain => 0,
                Kind::Malformed => 1,
                Kind::Late => 2,
                Kind::Duplicate { .. } => 3,
                Kind::Implausible => 4,
            };
            seen[index] += 1;
        }
        // A duplicate needs a plain event to repeat, so a tenth of them come out plain.
        for (index, expected) in [(1, 200), (2, 400), (3, 540), (4, 800)] {
            assert!((expected * 8 / 10..expected * 12 / 10).contains(&seen[index]), "{seen:?}");
        }
    }

    #[test]
    fn an_event_depends_on_nothing_but_seed_and_position() {
        let forwards: Vec<_> = (0..500).map(|offset| stream().event(1, offset)).collect();
        let backwards: Vec<_> = (0..500).rev().map(|offset| stream().event(1, offset)).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        assert_ne!(forwards[0], stream().event(2, 0));
        assert_ne!(forwards[0], Stream { seed: 8, ..stream() }.event(1, 0));
    }

    #[test]
    fn duplicates_repeat_the_bytes_of_a_plain_event() {
        let stream = stream();
        let mut duplicates = 0;
        for offset in 0..2000 {
            let event = stream.event(0, offset);
            let Kind::Duplicate { of } = event.kind else { continue };
            let origin = stream.event(0, of);
            assert_eq!((origin.kind, &origin.payload), (Kind::Plain, &event.payload));
            assert_eq!(stream.event_time_ms(0, of), stream.event_time_ms(0, offset));
            duplicates += 1;
        }
        assert!(duplicates > 0);
    }

    #[test]
    fn only_late_events_lie_far_behind_those_before_them() {
        let stream = stream();
        let mut newest = i64::MIN;
        for offset in 0..5000 {
            let time = stream.event_time_ms(0, offset);
            let late = time < newest.saturating_sub(600_000);
            assert_eq!(late, stream.kind(0, offset) == Kind::Late, "offset {offset}");
            newest = newest.max(time);
        }
    }

    #[test]
    fn new_fields_appear_at_their_offset() {
        let stream = stream();
        let plain = |mut offset| {
            while stream.kind(0, offset) != Kind::Plain {
                offset += 1;
            }
            stream.event(0, offset).payload
        };
        assert!(!plain(0).contains("humidity") && plain(10_000).contains("humidity"));
        assert!((200..320).contains(&plain(10_000).len()));
    }
}
