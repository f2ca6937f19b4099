//! The service, driven by clients over TCP: answers under load, what it refuses, what it does when devices fail, and how it stops.

#[path = "../src/client.rs"]
mod client;
mod server;

use client::{Answer, Client, Picture, Reply};
use server::Server;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 64;

fn pictures() -> Vec<Picture> {
    client::pictures(&client::folder()).expect("the images are there")
}

/// The answer, where nothing else may come.
fn digit(reply: Result<Reply, ureq::Error>) -> Answer {
    match reply {
        Ok(Reply::Digit(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

/// What it says, where it is to refuse.
fn refusal(reply: Result<Reply, ureq::Error>) -> (u16, String, Option<Duration>) {
    match reply {
        Ok(Reply::Refused { status, text, retry_after }) => (status, text, retry_after),
        other => panic!("{other:?}"),
    }
}

/// A black picture of that size.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&vec![0; (width * height) as usize]).expect("the pixels");
    drop(writer);
    bytes
}

/// What it says to a GET.
fn get(server: &Server, path: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.get(format!("{}{path}", server.url())).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// One picture after another, so that each is a batch of its own.
fn one_by_one(server: &Server, pictures: &[Picture]) -> Vec<usize> {
    let client = Client::new(server.url());
    pictures.iter().map(|picture| digit(client.classify(&picture.png)).digit).collect()
}

#[test]
fn two_thousand_requests_from_64_connections_are_answered_right() {
    const REQUESTS: usize = 2000;
    let server = Server::start(&[], &[]);
    let pictures = pictures();
    let expected = one_by_one(&server, &pictures);
    let right = expected.iter().zip(&pictures).filter(|(digit, picture)| **digit == picture.label).count();
    assert_eq!((right, pictures.len()), (590, 599), "as the model was trained");

    let (next, start) = (AtomicUsize::new(0), Barrier::new(CONNECTIONS));
    let answers: Vec<Answer> = thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let (client, mut answers) = (Client::new(server.url()), Vec::new());
                    start.wait();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= REQUESTS {
                            return answers;
                        }
                        let index = number % pictures.len();
                        let answer = digit(client.classify(&pictures[index].png));
                        assert_eq!(answer.digit, expected[index], "picture {index}");
                        answers.push(answer);
                    }
                })
            })
            .collect();
        connections.into_iter().flat_map(|connection| connection.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), REQUESTS, "none is lost");
    let devices: BTreeSet<_> = answers.iter().map(|answer| answer.device).collect();
    assert_eq!(devices, BTreeSet::from([0, 1, 2, 3]), "they take turns");
    assert!(answers.iter().any(|answer| answer.batch > 1), "pictures share batches");
    assert!(answers.iter().all(|answer| (1..=16).contains(&answer.batch)));
    let ended = server.stop();
    assert!(ended.success, "{ended:?}");
    assert_eq!((ended.accepted, ended.answered), (REQUESTS + pictures.len(), REQUESTS + pictures.len()));
}

#[test]
fn stopped_under_load_it_answers_what_it_accepted() {
    let server = Server::start(&["--wait", "5"], &[]);
    let pictures = pictures();
    let (stopping, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                let (server, pictures, stopping, answered) = (&server, &pictures, &stopping, &answered);
                scope.spawn(move || {
                    let client = Client::new(server.url());
                    for picture in pictures.iter().cycle().skip(first) {
                        match client.classify(&picture.png) {
                            Ok(Reply::Digit(_)) => _ = answered.fetch_add(1, Ordering::SeqCst),
                            // An answer is never anything else, also while it stops.
                            Ok(other) => panic!("{other:?}"),
                            // It was not accepted: nobody listens any more, or the connection was closed between two requests.
                            Err(error) => {
                                assert!(stopping.load(Ordering::SeqCst), "{error}");
                                return;
                            }
                        }
                    }
                })
            })
            .collect();
        while answered.load(Ordering::SeqCst) < 500 {
            thread::sleep(Duration::from_millis(1));
        }
        stopping.store(true, Ordering::SeqCst);
        server.terminate();
        connections.into_iter().for_each(|connection| connection.join().unwrap());
    });
    let ended = server.wait();
    assert!(ended.success, "{ended:?}");
    assert!(ended.output.contains("stopped"), "{ended:?}");
    assert_eq!(ended.accepted, ended.answered, "what was accepted is answered");
    assert_eq!(ended.answered, answered.into_inner(), "and each answer has got to its client");
}

#[test]
fn a_full_queue_is_told_and_nothing_is_lost() {
    // One device with one stream, and pictures one by one: slower than its clients.
    let arguments = ["--devices", "1", "--streams", "1", "--batch", "1", "--queue", "2"];
    let server = Server::start(&arguments, &[]);
    let pictures = pictures();
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for first in 0..CONNECTIONS {
            let (server, pictures, answered, refused) = (&server, &pictures, &answered, &refused);
            scope.spawn(move || {
                let client = Client::new(server.url());
                for picture in pictures.iter().cycle().skip(first).take(200) {
                    match client.classify(&picture.png).expect("an answer") {
                        Reply::Digit(answer) => {
                            assert_eq!((answer.batch, answer.device), (1, 0));
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Reply::Refused { status, text, retry_after } => {
                            assert_eq!((status, retry_after), (503, Some(Duration::from_secs(1))), "{text}");
                            assert!(text.contains("try again"), "{text}");
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    let (answered, refused) = (answered.into_inner(), refused.into_inner());
    assert_eq!(answered + refused, 200 * CONNECTIONS);
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    let ended = server.stop();
    assert!(ended.success, "{ended:?}");
    assert_eq!((ended.accepted, ended.answered), (answered, answered));
}

#[test]
fn bad_requests_are_told_what_to_do() {
    let server = Server::start(&["--devices", "1"], &[]);
    let client = Client::new(server.url());
    let picture = &pictures()[0];
    let half = &picture.png[..picture.png.len() / 2];
    let wide = png(9, 8);
    let huge = png(2000, 2000);
    let long = vec![0; 100_000];
    for (body, status, advice) in [
        (&b""[..], 400, "send a PNG file"),
        (b"GIF89a", 415, "no PNG file"),
        (b"\x89PNG\r\n\x1a\n", 422, "send a whole file of 8x8"),
        (half, 422, "send a whole file of 8x8"),
        (&wide, 422, "9x8 pixels, and the model takes 8x8"),
        (&huge, 422, "too many"),
        (&long, 413, "at most 65536 bytes"),
    ] {
        let (told, text, _) = refusal(client.classify(body));
        assert_eq!(told, status, "{text}");
        assert!(text.contains(advice), "{text}");
    }
    // It takes pictures after all that.
    assert_eq!(digit(client.classify(&picture.png)).digit, picture.label);
    let (usage, root) = (get(&server, "/").1, Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let file = usage.split_once("curl --data-binary @").and_then(|(_, rest)| rest.split(' ').next());
    assert!(file.is_some_and(|file| root.join(file).exists()), "{usage}");
    assert!(matches!(get(&server, "/health"), (200, text) if text.contains("\"accepted\":1")));
    assert!(matches!(get(&server, "/classify"), (405, text) if text.contains("POST")));
    assert!(matches!(get(&server, "/nothing"), (404, text) if text.contains("/classify")));
    assert!(server.stop().success);
}

#[test]
fn a_batch_that_fails_is_told_and_the_next_is_answered() {
    // The third execution is submitted, and answered with an error of the device.
    let faults = [("ASCENDCL_SIM_FAULTS", "aclmdlExecuteAsync:3=507015")];
    let server = Server::start(&["--devices", "1", "--streams", "1", "--batch", "1"], &faults);
    let (client, picture) = (Client::new(server.url()), &pictures()[0]);
    for number in 1..=5 {
        let reply = client.classify(&picture.png);
        if number == 3 {
            let (status, text, _) = refusal(reply);
            assert_eq!(status, 500);
            assert!(text.contains("507015") && text.contains("try again"), "{text}");
        } else {
            assert_eq!(digit(reply).digit, picture.label);
        }
    }
    let ended = server.stop();
    assert_eq!((ended.accepted, ended.answered), (5, 5));
    assert!(ended.errors.contains("a batch of 1 failed on device 0"), "{ended:?}");
}

#[test]
fn without_a_device_left_it_ends_with_an_error() {
    // The lane cannot be made anew: its model does not load a second time.
    let faults = [("ASCENDCL_SIM_FAULTS", "aclmdlExecuteAsync=507015;aclmdlLoadFromFile:2+=507015")];
    let server = Server::start(&["--devices", "1", "--streams", "1"], &faults);
    let (client, picture) = (Client::new(server.url()), &pictures()[0]);
    assert_eq!(refusal(client.classify(&picture.png)).0, 500);
    let ended = server.wait();
    assert!(!ended.success);
    assert!(ended.errors.contains("no lane is left"), "{ended:?}");
}

/// What the work of a lost device may still use is left behind on purpose.
const LOST: (&str, &str) = ("ASCENDCL_SIM_LEAKS", "off");

#[test]
fn a_device_that_is_lost_gets_no_more_pictures() {
    // In its first batch: each has two copies.
    let faults = [("ASCENDCL_SIM_FAULTS", "aclrtMemcpyAsync:3=lost-device"), LOST];
    let server = Server::start(&["--devices", "2", "--streams", "1", "--batch", "1"], &faults);
    let (client, picture) = (Client::new(server.url()), &pictures()[0]);
    let replies = (0..12).map(|_| client.classify(&picture.png));
    let refused: Vec<_> = replies.filter(|reply| !matches!(reply, Ok(Reply::Digit(_)))).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(matches!(get(&server, "/health"), (200, text) if text.contains("\"failed\":1")));
    let ended = server.stop();
    assert_eq!((ended.success, ended.accepted, ended.answered), (true, 12, 12), "{ended:?}");
    assert!(ended.errors.contains("is lost"), "{ended:?}");
}

#[test]
fn with_all_devices_lost_it_ends_with_an_error() {
    let faults = [("ASCENDCL_SIM_FAULTS", "aclrtMemcpyAsync=lost-device"), LOST];
    let server = Server::start(&["--devices", "1", "--streams", "1"], &faults);
    let (client, picture) = (Client::new(server.url()), &pictures()[0]);
    assert_eq!(refusal(client.classify(&picture.png)).0, 500);
    let ended = server.wait();
    assert!(!ended.success);
    assert!(ended.errors.contains("no lane is left"), "{ended:?}");
}

#[test]
fn slow_clients_do_not_hold_it_up_for_ever() {
    use std::{io::Write, net::TcpStream};
    let server = Server::start(&["--devices", "1", "--patience", "1"], &[]);
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(address).unwrap();
    // Half a request, and no more.
    slow.write_all(b"POST /classify HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    thread::sleep(Duration::from_millis(200));
    let ended = server.stop();
    assert!(!ended.success);
    assert!(ended.errors.contains("giving up"), "{ended:?}");
}

#[test]
fn a_client_that_goes_away_is_not_taken_for_a_lost_answer() {
    use std::{io::Write, net::TcpStream};
    // The batch waits for more pictures until the end.
    let server = Server::start(&["--devices", "1", "--wait", "3600000"], &[]);
    let counted = |count: &str| {
        let start = Instant::now();
        while !get(&server, "/health").1.contains(count) {
            assert!(start.elapsed() < server::PATIENCE, "{count} is not reached");
            thread::sleep(Duration::from_millis(5));
        }
    };
    let picture = &pictures()[0].png;
    let mut client = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    let head = format!("POST /classify HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n\r\n", picture.len());
    client.write_all(&[head.as_bytes(), picture].concat()).unwrap();
    counted("\"accepted\":1");
    drop(client);
    counted("\"left\":1");
    let ended = server.stop();
    assert!(ended.success, "{ended:?}");
    assert_eq!((ended.accepted, ended.answered), (1, 0));
    assert!(ended.output.contains("for 1 pictures the client had gone"), "{ended:?}");
}

#[test]
fn options_are_explained() {
    let ended = Server::run(&["--help"]);
    assert!(ended.success && ended.output.contains("--queue"), "{ended:?}");
    let ended = Server::run(&["--batch", "0"]);
    assert!(!ended.success && ended.errors.contains("--batch 0: give a whole number"), "{ended:?}");
    let ended = Server::run(&["--devices", "99"]);
    assert!(!ended.success && ended.errors.contains("99 devices were asked for"), "{ended:?}");
}
