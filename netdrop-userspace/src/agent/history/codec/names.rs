//! The names of a block: each is written once, and records point at it by its number.
//!
//! A block's names go with it, so that they are bounded by its size and need no count of who still uses them.

use std::collections::HashMap;
use std::hash::Hasher as _;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHasher};

use super::bytes::{Bytes, put_number, put_text};
use super::likeness::{self, Likeness};
use crate::flow::{
    DropReason, DropSite, EndpointInfo, Ethernet, Interface, Netns, Process, ServiceName, Stack, Workload,
};

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in super::super) enum Kind {
    Text,
    Endpoint,
    Service,
    Reason,
    Site,
    Netns,
    Interface,
    Process,
    Ethernet,
    Stack,
    Likeness,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Text,
        Self::Endpoint,
        Self::Service,
        Self::Reason,
        Self::Site,
        Self::Netns,
        Self::Interface,
        Self::Process,
        Self::Ethernet,
        Self::Stack,
        Self::Likeness,
    ];
}

/// A name as it was.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Name {
    Text(Arc<str>),
    Endpoint(Arc<EndpointInfo>),
    Service(Arc<ServiceName>),
    Reason(DropReason),
    Site(DropSite),
    Netns(Netns),
    Interface(Interface),
    Process(Process),
    Ethernet(Ethernet),
    Stack(Arc<Stack>),
    Likeness(Arc<Likeness>),
}

/// Names of the block that is being written.
#[derive(Debug, Default)]
pub(in super::super) struct Names {
    bytes: Vec<u8>,
    /// Where each begins in `bytes`.
    offsets: Vec<u32>,
    /// By the hash of kind and content. Of two with the same hash the second is written again each time: longer, not wrong.
    by_content: HashMap<u64, u32, FxBuildHasher>,
    /// Held, so that no other endpoint gets the same address in memory.
    by_pointer: HashMap<usize, (Arc<EndpointInfo>, u32), FxBuildHasher>,
    /// Most of the latter; beyond, endpoints are looked up by what they hold.
    most_pointers: usize,
    scratch: Vec<u8>,
    /// A flow's likeness, and the rest of it, while they are written.
    pub(super) parts: [Vec<u8>; 2],
}

impl Names {
    /// For a block of so many names.
    pub(in super::super) fn for_most(names: usize) -> Self {
        Self { most_pointers: names, ..Self::default() }
    }

    pub(in super::super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(in super::super) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Bytes that the names take in a block.
    pub(in super::super) fn size(&self) -> usize {
        self.bytes.len() + self.offsets.len() * size_of::<u32>()
    }

    /// Memory of what is only there while a block is written.
    pub(in super::super) fn memory(&self) -> usize {
        // Of a hash map: entry and control byte, an eighth free.
        let table = |capacity: usize, entry: usize| capacity * (entry + 1) * 8 / 7;
        self.bytes.capacity()
            + self.offsets.capacity() * size_of::<u32>()
            + table(self.by_content.capacity(), size_of::<(u64, u32)>())
            + table(self.by_pointer.capacity(), size_of::<(usize, (Arc<EndpointInfo>, u32))>())
            + self.scratch.capacity()
            + self.parts.iter().map(Vec::capacity).sum::<usize>()
    }

    pub(in super::super) fn clear(&mut self) {
        self.bytes.clear();
        self.offsets.clear();
        self.by_content.clear();
        self.by_pointer.clear();
    }

    /// The number of what `write` writes.
    fn id(&mut self, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        self.scratch.clear();
        self.scratch.push(kind as u8);
        write(&mut self.scratch);
        let mut hasher = FxHasher::default();
        hasher.write(&self.scratch);
        let hash = hasher.finish();
        if let Some(id) = self.by_content.get(&hash)
            && self.content(*id) == Some(&*self.scratch)
        {
            return u64::from(*id);
        }
        // A block is far smaller than 4 GiB.
        let id = u32::try_from(self.offsets.len()).unwrap_or(u32::MAX);
        self.offsets.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(&self.scratch);
        self.by_content.insert(hash, id);
        u64::from(id)
    }

    fn content(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let start = *self.offsets.get(id)? as usize;
        let end = self.offsets.get(id + 1).map_or(self.bytes.len(), |end| *end as usize);
        self.bytes.get(start..end)
    }

    pub(in super::super) fn text(&mut self, text: &str) -> u64 {
        self.id(Kind::Text, |out| out.extend_from_slice(text.as_bytes()))
    }

    pub(in super::super) fn endpoint(&mut self, info: &Arc<EndpointInfo>) -> u64 {
        let pointer = Arc::as_ptr(info).addr();
        if let Some((_, id)) = self.by_pointer.get(&pointer) {
            return u64::from(*id);
        }
        let id = self.id(Kind::Endpoint, |out| {
            put_text(out, &info.namespace);
            put_text(out, &info.pod_name);
            put_number(out, info.labels.len() as u64);
            info.labels.iter().for_each(|label| put_text(out, label));
            put_number(out, info.workloads.len() as u64);
            for workload in &info.workloads {
                put_text(out, &workload.name);
                put_text(out, &workload.kind);
            }
            put_optional(out, info.node.as_deref());
        });
        if self.by_pointer.len() >= self.most_pointers {
            self.by_pointer.clear();
        }
        self.by_pointer.insert(pointer, (Arc::clone(info), u32::try_from(id).unwrap_or(u32::MAX)));
        id
    }

    /// Of what [`likeness::put`] wrote.
    pub(super) fn likeness(&mut self, written: &[u8]) -> u64 {
        self.id(Kind::Likeness, |out| out.extend_from_slice(written))
    }

    pub(in super::super) fn service(&mut self, service: &ServiceName) -> u64 {
        self.id(Kind::Service, |out| {
            put_text(out, &service.name);
            put_text(out, &service.namespace);
        })
    }

    pub(in super::super) fn reason(&mut self, reason: &DropReason) -> u64 {
        self.id(Kind::Reason, |out| {
            put_number(out, reason.code.into());
            put_text(out, &reason.subsystem);
            put_text(out, &reason.name);
        })
    }

    pub(in super::super) fn site(&mut self, site: &DropSite) -> u64 {
        self.id(Kind::Site, |out| put_site(out, site))
    }

    pub(in super::super) fn stack(&mut self, stack: &Stack) -> u64 {
        self.id(Kind::Stack, |out| {
            out.push(u8::from(stack.more));
            put_number(out, stack.frames.len() as u64);
            stack.frames.iter().for_each(|frame| put_site(out, frame));
        })
    }

    pub(in super::super) fn netns(&mut self, netns: &Netns) -> u64 {
        self.id(Kind::Netns, |out| {
            put_number(out, netns.inode.into());
            put_optional(out, netns.name.as_deref());
        })
    }

    pub(in super::super) fn interface(&mut self, interface: &Interface) -> u64 {
        self.id(Kind::Interface, |out| {
            put_number(out, interface.index.into());
            put_optional(out, interface.name.as_deref());
        })
    }

    pub(in super::super) fn process(&mut self, process: &Process) -> u64 {
        self.id(Kind::Process, |out| {
            put_number(out, process.pid.into());
            put_number(out, process.tid.into());
            out.push(u8::from(process.owner));
            put_text(out, &process.comm);
        })
    }

    pub(in super::super) fn ethernet(&mut self, ethernet: Ethernet) -> u64 {
        self.id(Kind::Ethernet, |out| {
            out.extend_from_slice(&ethernet.source);
            out.extend_from_slice(&ethernet.destination);
        })
    }
}

fn put_site(out: &mut Vec<u8>, site: &DropSite) {
    put_number(out, site.address);
    put_number(out, site.offset);
    put_optional(out, site.symbol.as_deref());
    put_optional(out, site.module.as_deref());
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}

/// The names of a block, as they are written.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Written<'a> {
    pub(in super::super) bytes: &'a [u8],
    /// Where each begins: little endian, four bytes each.
    pub(in super::super) offsets: &'a [u8],
}

impl<'a> Written<'a> {
    pub(in super::super) fn len(&self) -> usize {
        self.offsets.len() / size_of::<u32>()
    }

    fn content(&self, id: usize) -> Option<&'a [u8]> {
        let offset = |id: usize| {
            let bytes = self.offsets.get(id.checked_mul(4)?..)?.first_chunk()?;
            usize::try_from(u32::from_le_bytes(*bytes)).ok()
        };
        let end = offset(id.checked_add(1)?).unwrap_or(self.bytes.len());
        self.bytes.get(offset(id)?..end)
    }

    pub(in super::super) fn kind(&self, id: usize) -> Option<Kind> {
        let number = *self.content(id)?.first()?;
        Kind::ALL.get(usize::from(number)).copied()
    }
}

/// Names of a block that is read. Each is made when a record first asks for it, and kept as long as the block is read.
#[derive(Debug)]
pub(in super::super) struct Dictionary<'a> {
    pub(in super::super) written: Written<'a>,
    pub(in super::super) made: &'a mut Vec<Option<Name>>,
}

impl Dictionary<'_> {
    /// What a record has in common with others.
    pub(in super::super) fn likeness(&mut self, id: usize) -> Option<&Arc<Likeness>> {
        match self.get(id)? {
            Name::Likeness(likeness) => Some(likeness),
            _ => None,
        }
    }

    /// What a number stands for.
    pub(in super::super) fn get(&mut self, id: usize) -> Option<&Name> {
        if self.made.is_empty() {
            self.made.resize(self.written.len(), None);
        }
        if self.made.get(id)?.is_none() {
            let mut bytes = Bytes(self.written.content(id)?);
            let kind = *Kind::ALL.get(usize::from(bytes.u8()?))?;
            self.made[id] = name(kind, bytes);
        }
        self.made[id].as_ref()
    }
}

fn name(kind: Kind, mut bytes: Bytes<'_>) -> Option<Name> {
    let bytes = &mut bytes;
    Some(match kind {
        Kind::Text => Name::Text(std::str::from_utf8(bytes.0).ok()?.into()),
        Kind::Endpoint => Name::Endpoint(Arc::new(endpoint(bytes)?)),
        Kind::Service => Name::Service(Arc::new(ServiceName { name: text(bytes)?, namespace: text(bytes)? })),
        Kind::Reason => {
            Name::Reason(DropReason { code: bytes.number32()?, subsystem: text(bytes)?, name: text(bytes)? })
        }
        Kind::Site => Name::Site(site(bytes)?),
        Kind::Stack => {
            let more = bytes.u8()? != 0;
            Name::Stack(Arc::new(Stack { frames: list(bytes, site)?, more }))
        }
        Kind::Netns => Name::Netns(Netns { inode: bytes.number32()?, name: optional(bytes)? }),
        Kind::Interface => Name::Interface(Interface { index: bytes.number32()?, name: optional(bytes)? }),
        Kind::Process => {
            let (pid, tid, owner) = (bytes.number32()?, bytes.number32()?, bytes.u8()? != 0);
            Name::Process(Process { pid, tid, owner, comm: text(bytes)? })
        }
        Kind::Likeness => Name::Likeness(Arc::new(likeness::read(bytes)?)),
        Kind::Ethernet => Name::Ethernet(Ethernet { source: bytes.array()?, destination: bytes.array()? }),
    })
}

fn site(bytes: &mut Bytes<'_>) -> Option<DropSite> {
    let (address, offset) = (bytes.number()?, bytes.number()?);
    Some(DropSite { address, offset, symbol: optional(bytes)?, module: optional(bytes)? })
}

fn endpoint(bytes: &mut Bytes<'_>) -> Option<EndpointInfo> {
    Some(EndpointInfo {
        namespace: text(bytes)?,
        pod_name: text(bytes)?,
        labels: list(bytes, text)?,
        workloads: list(bytes, |bytes| Some(Workload { name: text(bytes)?, kind: text(bytes)? }))?,
        node: optional(bytes)?,
    })
}

/// A list that says how long it is. What it says is not believed: room is made as items come.
fn list<T>(bytes: &mut Bytes<'_>, item: impl Fn(&mut Bytes<'_>) -> Option<T>) -> Option<Vec<T>> {
    (0..bytes.number()?).map(|_| item(bytes)).collect()
}

fn text(bytes: &mut Bytes<'_>) -> Option<Arc<str>> {
    bytes.text().map(Into::into)
}

/// The outer `None`: no such bytes.
#[expect(clippy::option_option, reason = "absent is a value; the outer one is an error")]
fn optional(bytes: &mut Bytes<'_>) -> Option<Option<Arc<str>>> {
    if bytes.u8()? == 0 { Some(None) } else { text(bytes).map(Some) }
}
