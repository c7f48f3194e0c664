//! The door to the recorder: a thread that serves the socket, so that a snapshot that takes long keeps no target
//! waiting at its start.
#![allow(unsafe_code)] // poll

use crate::glob;
use crate::run::recorder::Happening;
use crate::say::warn;
use leakscope_collect::{Credentials, Decide, PeerId, Reception, parent_of, process_name};
use leakscope_session::handshake::{Settings, Why};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

/// Longest wait for something to happen, milliseconds.
const TICK_MS: i32 = 100;
/// Ancestors looked at.
const MOST_ANCESTORS: usize = 64;
/// Processes recorded at one time.
const MOST_RECORDED: usize = 512;

/// Who is recorded, and how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Mean bytes between samples.
    pub interval_bytes: u64,
    /// Most native frames of a stack.
    pub native_depth: u32,
    /// Most Java frames of a stack.
    pub java_depth: u32,
    /// Most method ids that a JVM is made to create; 0: as many as is usual.
    pub method_ids: u64,
    /// Pattern for names of processes.
    pub only: Option<String>,
    /// Whether all processes are followed.
    pub follow: bool,
    /// The half of each session's id that seeds the target's random numbers; `None`: random.
    pub seed: Option<u64>,
}

/// What the thread and the main loop share.
pub struct Front {
    reception: Mutex<Reception>,
    policy: Policy,
    root: AtomicU32,
    declined: AtomicU64,
    recorded: AtomicUsize,
    /// Every process that was let in.
    known: Mutex<HashSet<u32>>,
    told: Mutex<HashSet<Obstacle>>,
}

/// Why processes that ask are not recorded; each is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Obstacle {
    /// We cannot see them.
    OtherNamespace,
    /// There are too many.
    TooMany,
}

impl Front {
    /// Opens the socket.
    ///
    /// # Errors
    /// Those of the system calls.
    pub fn open(policy: Policy) -> io::Result<Arc<Self>> {
        let reception = Mutex::new(Reception::open()?);
        Ok(Arc::new(Self {
            reception,
            policy,
            root: AtomicU32::new(0),
            declined: AtomicU64::new(0),
            recorded: AtomicUsize::new(0),
            known: Mutex::default(),
            told: Mutex::default(),
        }))
    }

    /// Name of the socket.
    pub fn name(&self) -> String {
        self.lock().name().to_owned()
    }

    /// Serves the socket from now on, for the target `root`; what happens is sent to `events`.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn serve(self: &Arc<Self>, root: u32, events: Sender<Happening>) -> io::Result<()> {
        self.root.store(root, Ordering::Release);
        let front = Arc::clone(self);
        let serve = move || {
            loop {
                front.wait();
                for event in front.lock().serve(&mut &*front) {
                    if events.send(Happening::Door(event)).is_err() {
                        return;
                    }
                }
            }
        };
        thread::Builder::new().name("front".into()).stack_size(256 << 10).spawn(serve).map(drop)
    }

    /// Answers a request.
    pub fn reply(&self, peer: PeerId, answer: Result<&[u8], &str>) {
        self.lock().reply(peer, answer);
    }

    /// Whether an answer is still on its way.
    pub fn is_replying(&self) -> bool {
        self.lock().is_replying()
    }

    /// Returns once everything that has been said at the socket so far has been passed on.
    pub fn settle(&self) {
        // Events are passed on under the lock.
        drop(self.lock());
    }

    /// So many processes are being recorded now.
    pub fn set_recorded(&self, count: usize) {
        self.recorded.store(count, Ordering::Relaxed);
    }

    /// Processes that were sent away because of `--only`.
    pub fn declined(&self) -> u64 {
        self.declined.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Reception> {
        self.reception.lock()
    }

    fn wait(&self) {
        let events = |sends| if sends { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
        let descriptors = self.lock().descriptors();
        let mut polled: Vec<libc::pollfd> =
            descriptors.into_iter().map(|(fd, sends)| libc::pollfd { fd, events: events(sends), revents: 0 }).collect();
        // SAFETY: a valid array of that length. Connections are closed by this thread only, so none is stale.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, TICK_MS) };
    }

    fn session_id(&self) -> [u64; 2] {
        let [random, other] = random_id();
        [self.policy.seed.unwrap_or(random), other]
    }

    /// Whether a process is what it says, and wanted.
    fn is_wanted(&self, peer: Credentials, why: Why) -> bool {
        let root = self.root.load(Ordering::Acquire);
        let follows = || self.policy.follow && self.is_ours(peer);
        let plausible = match why {
            // In a PID namespace of its own a process may take us for its parent.
            Why::Root => peer.pid == root || follows(),
            Why::Jvm => self.is_ours(peer),
            Why::Follow | Why::Fork => follows(),
        };
        let Some(only) = plausible.then_some(self.policy.only.as_deref()) else {
            return false;
        };
        let named = only.is_none_or(|pattern| process_name(peer.pid).is_some_and(|name| glob::matches(pattern, &name)));
        if !named {
            self.declined.fetch_add(1, Ordering::Relaxed);
        }
        named
    }

    /// Whether a process descends from the target or from another that was let in (a daemon leaves its parents behind,
    /// and its children drop its user), or has our user.
    #[allow(unsafe_code)] // geteuid
    fn is_ours(&self, peer: Credentials) -> bool {
        if peer.pid == 0 {
            self.tell(
                Obstacle::OtherNamespace,
                "a process outside of leakscope's PID namespace asked to be recorded, and is not: nothing of it can be \
                 seen from here. Start leakscope in its container, or let the two share their PID namespace \
                 (Kubernetes: shareProcessNamespace).",
            );
            return false;
        }
        // SAFETY: cannot fail.
        let uid = unsafe { libc::geteuid() };
        let mut ancestors = std::iter::successors(Some(peer.pid), |pid| parent_of(*pid).filter(|parent| *parent > 1));
        let root = self.root.load(Ordering::Acquire);
        let known = self.known.lock();
        peer.uid == uid || ancestors.by_ref().take(MOST_ANCESTORS).any(|pid| pid == root || known.contains(&pid))
    }

    fn has_room(&self) -> bool {
        let has_room = self.recorded.load(Ordering::Relaxed) < MOST_RECORDED;
        if !has_room {
            let sentence =
                format!("{MOST_RECORDED} processes are being recorded; more are not, until some of them have ended.");
            self.tell(Obstacle::TooMany, &sentence);
        }
        has_room
    }

    fn tell(&self, obstacle: Obstacle, sentence: &str) {
        if self.told.lock().insert(obstacle) {
            warn(sentence);
        }
    }
}

impl Decide for &Front {
    fn decide(&mut self, peer: Credentials, why: Why) -> Option<Settings> {
        if !self.is_wanted(peer, why) || !self.has_room() {
            return None;
        }
        self.known.lock().insert(peer.pid);
        Some(Settings {
            interval_bytes: self.policy.interval_bytes,
            native_depth: self.policy.native_depth.into(),
            java_depth: self.policy.java_depth.into(),
            method_ids: self.policy.method_ids,
            session_id: self.session_id(),
        })
    }
}

fn random_id() -> [u64; 2] {
    let mut bytes = [0; 16];
    if File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).is_err() {
        // Unique is enough: nothing rests on its secrecy.
        bytes = ((u128::from(std::process::id()) << 64) | crate::clock::unix_seconds() as u128).to_le_bytes();
    }
    let (low, high) = (u128::from_le_bytes(bytes) as u64, (u128::from_le_bytes(bytes) >> 64) as u64);
    [low, high]
}
