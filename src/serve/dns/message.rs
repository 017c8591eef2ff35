//! One question to one answer: the zone's values on the wire.
//!
//! A pure function of what is published and what was asked. Who is neither on this host nor in our
//! network is refused, because an open resolver is a weapon.

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

/// Answers a message; `limit` is the most bytes that the transport carries.
pub(super) fn reply(published: Option<&Published>, bytes: &[u8], client: IpAddr, limit: usize) -> Reply {
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
    if !is_served(published, client) {
        return code(ResponseCode::Refused);
    }
    let Some(published) = published else { return code(ResponseCode::ServFail) };
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

fn is_served(published: Option<&Published>, client: IpAddr) -> bool {
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
