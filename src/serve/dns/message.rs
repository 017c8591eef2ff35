//! One question to one answer: the zone's values on the wire.
//!
//! A pure function of what is published and what was asked. Who is neither on this host nor in our
//! network is refused, because an open resolver is a weapon.

use std::io;
use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use crate::traffic::{Answer, Data, Published, Question, ResourceRecord};

use super::{UDP_SIZE, is_loopback};

/// What follows a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// This message.
    Answer(Vec<u8>),
    /// Somebody else knows.
    Forward,
    /// Nothing: it was no question.
    Silence,
}

/// What every answer depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The last published state; `None` before the first.
    pub published: Option<&'a Published>,
    /// The name that only we ask for.
    pub marker: &'a str,
}

/// Answers a message; `limit` is the most bytes that the transport carries.
pub(super) fn reply(context: Context<'_>, bytes: &[u8], client: IpAddr, limit: usize) -> Reply {
    let Ok(request) = Message::from_vec(bytes) else {
        return match bytes {
            // A response that does not parse gets no answer, or two servers could answer each other for ever.
            [_, _, flags, ..] if flags & 0x80 == 0 => Reply::Answer(bare(bytes, ResponseCode::FormErr)),
            _ => Reply::Silence,
        };
    };
    if request.metadata.message_type == MessageType::Response {
        return Reply::Silence;
    }
    let limit = match limit > UDP_SIZE {
        true => limit,
        // Without EDNS a client takes 512 bytes (RFC 1035, section 4.2.1).
        false => request.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload()).clamp(512, limit)),
    };
    let code = |code| Reply::Answer(encode(&response(&request, code), limit));
    if request.metadata.op_code != OpCode::Query {
        return code(ResponseCode::NotImp);
    }
    let [query] = request.queries.as_slice() else { return code(ResponseCode::FormErr) };
    if !is_served(context.published, client) {
        return code(ResponseCode::Refused);
    }
    if query.name.to_ascii().trim_end_matches('.').eq_ignore_ascii_case(context.marker) {
        let mut answer = response(&request, ResponseCode::NoError);
        answer.add_answer(Record::from_rdata(query.name.clone(), 0, RData::TXT(TXT::new(vec!["driftless".to_owned()]))));
        return Reply::Answer(encode(&answer, limit));
    }
    let Some(published) = context.published else { return code(ResponseCode::ServFail) };
    if query.query_class != DNSClass::IN {
        return Reply::Forward;
    }
    match answer(published, &request, query) {
        Some(answer) => Reply::Answer(encode(&answer, limit)),
        None => Reply::Forward,
    }
}

/// Returns the answer that a question cannot be answered now.
pub(super) fn failure(question: &[u8]) -> Vec<u8> {
    match Message::from_vec(question) {
        Ok(request) => encode(&response(&request, ResponseCode::ServFail), 512),
        Err(_) => bare(question, ResponseCode::ServFail),
    }
}

/// Returns the question for a name's text.
pub(super) fn question(name: &str) -> io::Result<Vec<u8>> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let name = wire_name(name).ok_or(io::ErrorKind::InvalidInput)?;
    message.add_query(Query::query(name, RecordType::TXT));
    message.to_vec().map_err(io::Error::other)
}

/// Tells whether a message answers its question.
pub(super) fn is_answer(bytes: &[u8]) -> bool {
    Message::from_vec(bytes).is_ok_and(|message| message.metadata.response_code == ResponseCode::NoError && !message.answers.is_empty())
}

fn answer(published: &Published, request: &Message, query: &Query) -> Option<Message> {
    let name = query.name.to_ascii();
    let asked = match query.query_type {
        RecordType::A => Question::A,
        RecordType::SRV => Question::Srv,
        RecordType::PTR => Question::Ptr,
        RecordType::TXT => Question::Txt,
        RecordType::SOA => Question::Soa,
        RecordType::NS => Question::Ns,
        _ => Question::Other,
    };
    let (code, answers, additionals, apex) = match published.zone.lookup(&name, asked) {
        Answer::Outside => return None,
        Answer::Found(answers, additionals) => (ResponseCode::NoError, answers, additionals, None),
        Answer::NoData(apex) => (ResponseCode::NoError, Vec::new(), Vec::new(), Some(apex)),
        Answer::NoName(apex) => (ResponseCode::NXDomain, Vec::new(), Vec::new(), Some(apex)),
    };
    let mut answer = response(request, code);
    answer.metadata.authoritative = true;
    // A client that writes the name in its own way gets it back in that way.
    let owned = |record: &ResourceRecord| match name.trim_end_matches('.').eq_ignore_ascii_case(&record.name) {
        true => Some(query.name.clone()),
        false => wire_name(&record.name),
    };
    let record = |record: ResourceRecord| {
        let data = data(&record.data, published.generation)?;
        Some(Record::from_rdata(owned(&record)?, record.ttl, data))
    };
    answer.answers = answers.into_iter().filter_map(record).collect();
    answer.additionals = additionals.into_iter().filter_map(record).collect();
    answer.authorities = apex.map(|apex| published.zone.soa(&apex, published.generation)).into_iter().filter_map(record).collect();
    Some(answer)
}

fn data(data: &Data, generation: u64) -> Option<RData> {
    Some(match data {
        Data::A(address) => RData::A(A(*address)),
        Data::Srv { weight, port, target } => RData::SRV(SRV::new(0, *weight, *port, wire_name(target)?)),
        Data::Ptr(target) => RData::PTR(PTR(wire_name(target)?)),
        Data::Txt(text) => RData::TXT(TXT::new(vec![text.clone()])),
        Data::Ns(target) => RData::NS(NS(wire_name(target)?)),
        Data::Soa { nameserver, contact, .. } => {
            let serial = u32::try_from(generation % (1 << 32)).ok()?;
            RData::SOA(SOA::new(wire_name(nameserver)?, wire_name(contact)?, serial, 7_200, 1_800, 86_400, 5))
        }
    })
}

fn wire_name(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Tells whether a client is answered at all: who is neither on this host nor in our network is refused.
pub(super) fn is_served(published: Option<&Published>, client: IpAddr) -> bool {
    let network = published.and_then(|published| published.zone.network);
    match client.to_canonical() {
        client if is_loopback(client) => true,
        IpAddr::V4(client) => network.is_none_or(|network| network.contains(&client)),
        IpAddr::V6(_) => false,
    }
}

fn response(request: &Message, code: ResponseCode) -> Message {
    let mut response = Message::error_msg(request.metadata.id, request.metadata.op_code, code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.queries = request.queries.clone();
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(u16::try_from(UDP_SIZE).unwrap_or(512));
        response.edns = Some(edns);
    }
    response
}

/// What does not fit is left out, and the client told so (TC).
fn encode(message: &Message, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(u16::try_from(limit).unwrap_or(u16::MAX));
    match message.emit(&mut encoder) {
        Ok(()) => bytes,
        Err(error) => {
            tracing::debug!("failed to encode an answer: {error}");
            Message::error_msg(message.metadata.id, OpCode::Query, ResponseCode::ServFail).to_vec().unwrap_or_default()
        }
    }
}

/// Answers a message of which nothing but the header can be read.
fn bare(question: &[u8], code: ResponseCode) -> Vec<u8> {
    let id = match question {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    Message::error_msg(id, OpCode::Query, code).to_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::traffic::{Endpoint, ZoneService};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_messages_are_answered_forwarded_or_dropped(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            length in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut bytes = query("db.shop.svc.cluster.local", RecordType::A).to_vec().expect("bytes");
            for (index, byte) in edits {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(if is_cut { length.index(bytes.len()) } else { bytes.len() });
            let published = published();
            let context = Context { published: Some(&published), marker: "m.m" };
            if let Reply::Answer(answer) = reply(context, &bytes, "127.0.0.1".parse().expect("an address"), UDP_SIZE) {
                prop_assert!(answer.len() <= UDP_SIZE);
            }
        }
    }

    fn published() -> Published {
        let mut published = Published::empty("cluster.local", 3);
        published.zone.network = Some("10.64.0.0/16".parse().expect("a network"));
        let endpoint = |last: u8| Endpoint { hosts: vec![format!("h{last}")], address: [10, 64, 0, last].into(), ports: Vec::new() };
        published.zone.insert(ZoneService {
            namespace: "shop".to_owned(),
            name: "db".to_owned(),
            address: None,
            ports: Vec::new(),
            endpoints: (10..110).map(endpoint).collect(),
        });
        published
    }

    fn ask(published: Option<&Published>, client: &str, bytes: &[u8], limit: usize) -> Result<Message, Reply> {
        let context = Context { published, marker: "m.m" };
        match reply(context, bytes, client.parse().expect("an address"), limit) {
            Reply::Answer(bytes) => Ok(Message::from_vec(&bytes).expect("a message")),
            other => Err(other),
        }
    }

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(wire_name(name).expect("a name"), kind));
        message
    }

    fn code(published: Option<&Published>, client: &str, name: &str) -> Result<ResponseCode, Reply> {
        let bytes = query(name, RecordType::A).to_vec().expect("bytes");
        ask(published, client, &bytes, UDP_SIZE).map(|answer| answer.metadata.response_code)
    }

    #[test]
    fn only_this_host_and_our_network_are_answered() {
        let published = published();
        for (client, expected) in [
            ("127.0.0.1", ResponseCode::NoError),
            ("::1", ResponseCode::NoError),
            ("::ffff:127.0.0.1", ResponseCode::NoError),
            ("10.64.3.4", ResponseCode::NoError),
            ("10.65.0.1", ResponseCode::Refused),
            ("192.0.2.1", ResponseCode::Refused),
            ("2001:db8::1", ResponseCode::Refused),
        ] {
            assert_eq!(code(Some(&published), client, "db.shop.svc.cluster.local"), Ok(expected), "{client}");
        }
    }

    #[test]
    fn before_the_first_zone_nothing_is_said_to_be_missing() {
        assert_eq!(code(None, "127.0.0.1", "db.shop.svc.cluster.local"), Ok(ResponseCode::ServFail));
        assert_eq!(code(None, "127.0.0.1", "example.org"), Ok(ResponseCode::ServFail));
    }

    #[test]
    fn what_is_not_ours_is_forwarded_and_our_marker_is_known() {
        let published = published();
        assert_eq!(code(Some(&published), "127.0.0.1", "example.org"), Err(Reply::Forward));
        assert!(
            ask(Some(&published), "127.0.0.1", &question("m.m").expect("a question"), UDP_SIZE)
                .is_ok_and(|answer| answer.answers.len() == 1)
        );
    }

    #[test]
    fn an_answer_that_is_too_long_says_so_and_is_whole_over_tcp() {
        let published = published();
        let mut request = query("db.shop.svc.cluster.local", RecordType::A);
        let bytes = request.to_vec().expect("bytes");
        let short = ask(Some(&published), "127.0.0.1", &bytes, UDP_SIZE).expect("an answer");
        assert!(short.metadata.truncation && short.answers.len() < 100);
        let whole = ask(Some(&published), "127.0.0.1", &bytes, usize::from(u16::MAX)).expect("an answer");
        assert!(!whole.metadata.truncation && whole.answers.len() == 100 && whole.metadata.authoritative);
        let mut edns = Edns::new();
        edns.set_max_payload(4_096);
        request.edns = Some(edns);
        let extended = ask(Some(&published), "127.0.0.1", &request.to_vec().expect("bytes"), UDP_SIZE).expect("an answer");
        assert!(!extended.metadata.truncation && extended.answers.len() == 100 && extended.edns.is_some());
    }

    #[test]
    fn the_name_comes_back_as_it_was_written() {
        let published = published();
        let mut request = Message::query();
        let name = Name::from_ascii("Db.SHOP.svc.cluster.local.").expect("a name");
        request.add_query(Query::query(name.clone(), RecordType::A));
        let answer = ask(Some(&published), "127.0.0.1", &request.to_vec().expect("bytes"), UDP_SIZE).expect("an answer");
        assert!(answer.answers.iter().all(|record| record.name.to_ascii() == name.to_ascii()));
    }

    #[test]
    fn what_is_no_question_gets_no_answer_or_an_error() {
        let published = published();
        let mut response = query("db.shop.svc.cluster.local", RecordType::A);
        response.metadata.message_type = MessageType::Response;
        assert_eq!(ask(Some(&published), "127.0.0.1", &response.to_vec().expect("bytes"), UDP_SIZE).err(), Some(Reply::Silence));
        assert_eq!(ask(Some(&published), "127.0.0.1", &[], UDP_SIZE).err(), Some(Reply::Silence));
        assert_eq!(ask(Some(&published), "127.0.0.1", &[1, 2, 0x80, 0], UDP_SIZE).err(), Some(Reply::Silence));
        let garbage = ask(Some(&published), "127.0.0.1", &[1, 2, 0, 0, 0, 9], UDP_SIZE).expect("an answer");
        assert_eq!((garbage.metadata.id, garbage.metadata.response_code), (0x0102, ResponseCode::FormErr));
        let mut update = query("cluster.local", RecordType::SOA);
        update.metadata.op_code = OpCode::Update;
        let refused = ask(Some(&published), "127.0.0.1", &update.to_vec().expect("bytes"), UDP_SIZE).expect("an answer");
        assert_eq!(refused.metadata.response_code, ResponseCode::NotImp);
    }

    #[test]
    fn a_negative_answer_has_the_zone_with_its_generation() {
        let published = published();
        let bytes = query("none.shop.svc.cluster.local", RecordType::A).to_vec().expect("bytes");
        let answer = ask(Some(&published), "127.0.0.1", &bytes, UDP_SIZE).expect("an answer");
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        let [record] = answer.authorities.as_slice() else { panic!("one record") };
        assert!(record.ttl <= 5 && matches!(&record.data, RData::SOA(soa) if soa.serial == 3 && soa.minimum <= 5));
    }
}
