//! Tries what WASI offers, and gives rows that tell what it got. `{"behaviour": "…"}` says what to try.

use std::sync::OnceLock;

use exports::sluicebox::plugin::describe::{Description, Guest as Describe};
use exports::sluicebox::plugin::records::{Guest as Records, Outcome, Plan};
use serde_json::{Value, json};
use sluicebox::plugin::types::{Error, Field, Kind, TransformOutput};
use wasi::cli::{environment, exit, stderr, stdin, stdout};
use wasi::clocks::{monotonic_clock, wall_clock};
use wasi::filesystem::preopens;
use wasi::io::poll;
use wasi::random::{insecure_seed, random};
use wasi::sockets::{instance_network, ip_name_lookup, tcp_create_socket};

// The parts of WASI that are tried, in its own words.
wit_bindgen::generate!({
    inline: "
        package hostile:wasi;

        world probe {
            include sluicebox:plugin/records-plugin@0.3.0;
            import wasi:cli/environment@0.2.3;
            import wasi:cli/exit@0.2.3;
            import wasi:cli/stdin@0.2.3;
            import wasi:cli/stdout@0.2.3;
            import wasi:cli/stderr@0.2.3;
            import wasi:clocks/monotonic-clock@0.2.3;
            import wasi:clocks/wall-clock@0.2.3;
            import wasi:filesystem/preopens@0.2.3;
            import wasi:io/poll@0.2.3;
            import wasi:random/insecure-seed@0.2.3;
            import wasi:random/random@0.2.3;
            import wasi:sockets/instance-network@0.2.3;
            import wasi:sockets/ip-name-lookup@0.2.3;
            import wasi:sockets/tcp-create-socket@0.2.3;
        }

        package wasi:io@0.2.3 {
            interface error { resource error; }
            interface poll {
                resource pollable { ready: func() -> bool; block: func(); }
                poll: func(in: list<borrow<pollable>>) -> list<u32>;
            }
            interface streams {
                use error.{error};
                use poll.{pollable};
                variant stream-error { last-operation-failed(error), closed }
                resource input-stream {
                    blocking-read: func(len: u64) -> result<list<u8>, stream-error>;
                    subscribe: func() -> pollable;
                }
                resource output-stream {
                    check-write: func() -> result<u64, stream-error>;
                    write: func(contents: list<u8>) -> result<_, stream-error>;
                    blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
                    blocking-flush: func() -> result<_, stream-error>;
                }
            }
        }

        package wasi:cli@0.2.3 {
            interface environment {
                get-environment: func() -> list<tuple<string, string>>;
                get-arguments: func() -> list<string>;
                initial-cwd: func() -> option<string>;
            }
            interface exit { exit: func(status: result); }
            interface stdin {
                use wasi:io/streams@0.2.3.{input-stream};
                get-stdin: func() -> input-stream;
            }
            interface stdout {
                use wasi:io/streams@0.2.3.{output-stream};
                get-stdout: func() -> output-stream;
            }
            interface stderr {
                use wasi:io/streams@0.2.3.{output-stream};
                get-stderr: func() -> output-stream;
            }
        }

        package wasi:clocks@0.2.3 {
            interface monotonic-clock {
                use wasi:io/poll@0.2.3.{pollable};
                now: func() -> u64;
                subscribe-duration: func(when: u64) -> pollable;
            }
            interface wall-clock {
                record datetime { seconds: u64, nanoseconds: u32 }
                now: func() -> datetime;
            }
        }

        package wasi:filesystem@0.2.3 {
            interface types { resource descriptor { sync: func() -> result<_, u8>; } }
            interface preopens {
                use types.{descriptor};
                get-directories: func() -> list<tuple<descriptor, string>>;
            }
        }

        package wasi:random@0.2.3 {
            interface insecure-seed { insecure-seed: func() -> tuple<u64, u64>; }
            interface random {
                get-random-bytes: func(len: u64) -> list<u8>;
                get-random-u64: func() -> u64;
            }
        }

        package wasi:sockets@0.2.3 {
            interface network {
                enum error-code { unknown, access-denied }
                enum ip-address-family { ipv4, ipv6 }
                resource network;
            }
            interface instance-network {
                use network.{network};
                instance-network: func() -> network;
            }
            interface tcp {
                resource tcp-socket { is-listening: func() -> bool; }
            }
            interface tcp-create-socket {
                use network.{error-code, ip-address-family};
                use tcp.{tcp-socket};
                create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
            }
            interface ip-name-lookup {
                use network.{network, error-code};
                resource resolve-address-stream { subscribe: func(); }
                resolve-addresses: func(network: borrow<network>, name: string)
                    -> result<resolve-address-stream, error-code>;
            }
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Probe;
export!(Probe);

static BEHAVIOUR: OnceLock<String> = OnceLock::new();

impl Describe for Probe {
    fn describe() -> Description {
        Description {
            name: "hostile-wasi".into(),
            version: "0.1.0".into(),
            summary: "Tells what it finds.".into(),
            config_schema: r#"{"type": "object", "properties": {"behaviour": {"type": "string"}}}"#.into(),
        }
    }
}

impl Records for Probe {
    fn open(config: String, _input: Vec<Field>) -> Result<Plan, Error> {
        let config: Value =
            serde_json::from_str(&config).map_err(|error| Error::Config(error.to_string()))?;
        BEHAVIOUR.get_or_init(|| config["behaviour"].as_str().unwrap_or_default().to_owned());
        let seen = Field { name: "seen".into(), kind: Kind::Utf8, nullable: false, children: 0 };
        Ok(Plan { reads: Vec::new(), output: TransformOutput::Rows(vec![seen]), rules: Vec::new() })
    }

    fn apply(_rows: String) -> Result<Outcome, Error> {
        let seen = match BEHAVIOUR.get().map_or("", String::as_str) {
            "looks" => look(),
            "exits" => {
                exit::exit(Err(()));
                Vec::new()
            }
            "wants-much-randomness" => vec![random::get_random_bytes(u64::MAX).len().to_string()],
            "floods-its-output" => {
                let (out, line) = (stdout::get_stdout(), "a line that nobody needs\n".repeat(1000));
                (0..1000).for_each(|_| drop(out.write(line.as_bytes())));
                vec!["done".to_owned()]
            }
            "panics-aloud" => {
                let text = "Traceback:\n  somewhere\nValueError: \u{1b}[31mno such thing\n";
                drop(stderr::get_stderr().blocking_write_and_flush(text.as_bytes()));
                unreachable!()
            }
            "waits" => {
                let start = monotonic_clock::now();
                monotonic_clock::subscribe_duration(3_600_000_000_000).block();
                while monotonic_clock::now() < start + 1 {}
                Vec::new()
            }
            _ => Vec::new(),
        };
        let rows: Vec<Value> = seen.into_iter().map(|seen| json!({"seen": seen})).collect();
        Ok(Outcome { keep: None, rejected: Vec::new(), rows: Some(Value::Array(rows).to_string()) })
    }
}

fn look() -> Vec<String> {
    let network = instance_network::instance_network();
    let pollable = stdin::get_stdin().subscribe();
    vec![
        format!("environment {:?}", environment::get_environment()),
        format!("arguments {:?}", environment::get_arguments()),
        format!("folder {:?}", environment::initial_cwd()),
        format!("folders {}", preopens::get_directories().len()),
        format!("time {:?}", wall_clock::now()),
        format!("ticks {}", monotonic_clock::now()),
        format!("random {:x} {:x?}", random::get_random_u64(), random::get_random_bytes(3)),
        format!("seed {:?}", insecure_seed::insecure_seed()),
        format!("input {:?}", stdin::get_stdin().blocking_read(10).is_err()),
        format!("polled {:?} {}", poll::poll(&[&pollable]), pollable.ready()),
        format!("output {:?}", stdout::get_stdout().check_write().is_ok()),
        format!(
            "socket {:?}",
            tcp_create_socket::create_tcp_socket(tcp_create_socket::IpAddressFamily::Ipv4).err()
        ),
        format!("lookup {:?}", ip_name_lookup::resolve_addresses(&network, "localhost").err()),
    ]
}
