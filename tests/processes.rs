//! Every way in which a process can come to be: fork servers, children that share memory, daemons, programs executed one
//! after the other. Each followed process has a session of its own, in which its own blocks are, and no others.

use crate::support::profiles::observed;
use crate::support::{Sandbox, machine, programs, truth};
use leakscope_profile::{Code, Profile};
use std::process::{Command, Stdio};

const WORKERS: u64 = 3;
const SIZE: u64 = 1237;
const INHERITED: u64 = 500;

/// What was recorded of the fork server.
struct Family {
    out: String,
    parent: Profile,
    children: Vec<Profile>,
}

impl Family {
    /// Runs it as it is, then recorded: nothing that it says or answers may differ.
    fn of(what: &str, options: &[&str]) -> Self {
        let program = programs::c("children");
        let plain = Command::new(&program).arg(what).stdin(Stdio::null()).output().expect("the program runs");
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--sample", "1"]).args(options).target(&program).target(what);
        let recording = run.finish();
        assert_eq!(Some(recording.code()), plain.status.code(), "{}", recording.everything());
        let own =
            |text: &str| text.lines().filter(|l| !l.starts_with("sessions")).map(str::to_owned).collect::<Vec<_>>();
        let out = recording.out();
        assert_eq!(own(&out), own(&String::from_utf8_lossy(&plain.stdout)), "{}", recording.everything());
        let (mut parents, children): (Vec<_>, Vec<_>) =
            recording.last_of_each().into_iter().partition(|profile| observed(profile, "parent_block").1 > 0);
        assert_eq!(parents.len(), 1, "one process has the parent's blocks");
        let parent = parents.remove(0);
        assert_eq!(observed(&parent, "parent_block"), (INHERITED * 777, INHERITED));
        assert_eq!(observed(&parent, "worker_block"), (0, 0), "a child's block in the parent's session");
        for profile in children.iter().chain([&parent]) {
            assert_eq!(profile.losses.get("missed_frees").copied().unwrap_or(0), 0, "{:?}", profile.losses);
        }
        Self { out, parent, children }
    }

    fn followed(what: &str) -> Self {
        Self::of(what, &["--follow"])
    }

    /// Objects of a function in each child, sorted; their bytes must be `size` each.
    fn objects(&self, function: &str, size: u64) -> Vec<u64> {
        let of = |profile: &Profile| {
            let (bytes, objects) = observed(profile, function);
            assert_eq!(bytes, objects * size, "{function}");
            objects
        };
        let mut all: Vec<u64> = self.children.iter().map(of).collect();
        all.sort_unstable();
        all
    }
}

#[test]
fn each_child_of_a_fork_server_has_a_session_of_its_own() {
    let family = Family::followed("blocks");
    assert_eq!(family.objects("worker_block", SIZE), [100, 101, 102]);
    assert_eq!(family.objects("worker_grown", 3001), [INHERITED / 2; 3], "inherited blocks that grew are the child's");
    assert!(family.children.iter().all(|child| child.target.pid != family.parent.target.pid));
}

#[test]
fn a_child_that_maps_or_makes_threads_has_one_too() {
    let family = Family::followed("map");
    assert_eq!(family.objects("worker_map", 1 << 20), [1; 3]);
    let family = Family::followed("thread");
    assert_eq!(family.objects("worker_block", SIZE), [100, 101, 102]);
    for child in &family.children {
        assert_eq!(observed(child, "work").1, 1, "its thread, by who made it");
    }
}

#[test]
fn children_of_children_and_generations_that_die_one_after_another() {
    let family = Family::followed("nested");
    assert_eq!(family.objects("worker_block", SIZE), [100, 101, 102, 1000, 1000, 1000]);
    let family = Family::followed("chain");
    let expected: Vec<u64> = (1..=5).flat_map(|generation| [100 * generation; WORKERS as usize]).collect();
    assert_eq!(family.objects("worker_block", SIZE), expected);
    // Sessions of generations that are gone are not kept.
    assert_eq!(family.out.matches("sessions mapped 1 open 1\n").count(), 3, "{}", family.out);
}

/// It would record into the memory of its parent, which is itself a child that has no session yet.
#[test]
fn a_vforked_child_does_not_ask_in_its_parents_name() {
    let family = Family::followed("vfork");
    assert_eq!(family.objects("worker_block", SIZE), [100, 101, 102]);
    assert_eq!(family.children.len(), 3);
}

#[test]
fn a_child_that_closed_all_descriptors_and_opened_others_keeps_those() {
    let family = Family::followed("close");
    assert_eq!(family.objects("worker_block", SIZE), [100, 101, 102]);
}

#[test]
fn children_that_execute_another_program_at_once_leave_that_programs_folder_only() {
    let family = Family::followed("exec");
    assert_eq!(family.children.len(), 3);
    assert!(family.children.iter().all(|child| child.target.name == "sh"), "{:?}", family.children[0].target);
}

/// A child that a signal handler forks in the midst of a hook comes back into the hook: its parent's.
#[test]
fn children_forked_by_a_signal_handler_inside_of_allocations() {
    let family = Family::followed("signal");
    assert_eq!(family.objects("worker_block", SIZE), [100; 3]);
    // What the handler maps is recorded unless it has interrupted a hook.
    assert!(family.objects("worker_map", 1 << 20).iter().all(|maps| *maps <= 1));
}

/// It was free to make sockets and files when the program started.
#[test]
fn a_child_that_has_locked_itself_in_is_left_alone() {
    assert_eq!(Family::followed("sandbox").children.len(), 0);
}

/// leakscope holds some descriptors for each process: more than it is allowed at first.
#[test]
fn a_hundred_processes_at_a_time() {
    let sandbox = Sandbox::new();
    let leakscope = machine::leakscope();
    let line = "ulimit -Sn 256; exec \"$0\" run -o out --sample 1 --follow -- \"$1\" crowd";
    let program = programs::c("children");
    let line = ["sh", "-c", line, leakscope.to_str().expect("text"), program.to_str().expect("text")];
    let recording = sandbox.command("run").instead(&line).finish().in_directory(sandbox.path().join("out"));
    let (parents, children): (Vec<_>, Vec<_>) =
        recording.last_of_each().into_iter().partition(|profile| observed(profile, "parent_block").1 > 0);
    assert_eq!((parents.len(), children.len()), (1, 100), "{}", recording.err());
    assert!(children.iter().all(|child| observed(child, "worker_block") == (100 * SIZE, 100)));
    assert!(!recording.err().contains("warning"), "{}", recording.err());
}

#[test]
fn children_that_allocate_nothing_leave_nothing() {
    assert_eq!(Family::followed("nothing").children.len(), 0);
}

#[test]
fn children_are_left_alone_without_follow_and_keep_nothing_of_their_parents_session() {
    let family = Family::of("sessions", &[]);
    assert_eq!(family.children.len(), 0);
    assert_eq!(family.out.matches("sessions mapped 0 open 0\n").count(), 3, "{}", family.out);
    let family = Family::followed("sessions");
    assert_eq!(family.children.len(), 3);
    assert_eq!(family.out.matches("sessions mapped 1 open 1\n").count(), 3, "{}", family.out);
}

/// A program that tries all descriptors it may have finds none of ours, be it to close or to count them.
#[test]
fn no_descriptor_is_open_that_a_program_may_have() {
    let program = programs::c("open_files");
    let line = ["sh", "-c", "ulimit -Sn 256 && \"$0\" && exec \"$0\""];
    let plain = Command::new(line[0]).args(&line[1..]).arg(&program).stdin(Stdio::null()).output().expect("a shell");
    let plain = String::from_utf8(plain.stdout).expect("text");
    assert_eq!(plain.matches("of 256\n").count(), 2, "{plain}");
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--follow", "--sample", "1"]).targets(&line).target(&program);
    let recording = run.finish().expect_code(0);
    assert_eq!(recording.out(), plain);
    assert!(recording.last_of_each().len() >= 2, "{}", recording.everything());
}

#[test]
fn only_keeps_those_of_one_name_among_all_that_are_followed() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1", "--follow", "--only", "prog*"]);
    let run = run.targets(&["sh", "-c", "\"$0\" blocks; exit 7"]).target(programs::c("children"));
    let recording = run.finish().expect_code(7);
    let names: Vec<String> = recording.last_of_each().into_iter().map(|profile| profile.target.name).collect();
    assert_eq!(names, ["program"; 4], "{}", recording.everything());
}

/// What a child allocates that shares its parent's memory is the parent's.
#[test]
fn children_that_share_memory_record_into_it() {
    let sandbox = Sandbox::new();
    let program = programs::c("shared");
    let recording = sandbox.run().args(&["--sample", "1", "--follow"]).target(program).finish().expect_code(0);
    let (spawned, parents): (Vec<_>, Vec<_>) =
        recording.last_of_each().into_iter().partition(|profile| observed(profile, "spawned_block").1 > 0);
    let ([parent], [spawned]) = (&parents[..], &spawned[..]) else { panic!("{}", recording.everything()) };
    truth::expect_exact(&recording, parent, &sandbox.report(&recording.folder_of(parent.target.pid)));
    assert_eq!(observed(spawned, "spawned_block"), (10 * 3210, 10));
}

/// glibc changes the user in every thread, by signals.
#[test]
fn a_program_with_threads_that_drops_its_user_is_recorded_on() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().through(machine::as_root()).args(&["--sample", "1"]);
    let recording = run.target(programs::c("changes")).target("user").finish().expect_code(0);
    truth::expect_exact(&recording, &recording.last(), &sandbox.report_of(&recording));
}

#[test]
fn a_thread_that_executes_another_program_while_others_allocate() {
    let sandbox = Sandbox::new();
    let run = sandbox.run().args(&["--sample", "1"]).target(programs::c("changes")).target("program");
    let recording = run.finish().expect_code(0);
    let mut all = recording.last_of_each();
    let new = all.iter().position(|profile| observed(profile, "new_block").1 > 0).expect("the second program");
    let new = all.remove(new);
    assert_eq!(observed(&new, "new_block"), (200 * 1999, 200));
    let [old] = &all[..] else { panic!("{} other programs", all.len()) };
    assert_eq!(observed(old, "old_block"), (200 * 1999, 200), "as it was when the program was replaced");
    assert_eq!((old.target.exit, old.target.pid), (None, new.target.pid));
}

#[test]
fn a_jvm_that_comes_late_in_another_program_is_seen() {
    for release in [11, 25] {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--sample", "1"]).target(programs::c_with_jni("late"));
        let run = run.target(machine::jre(release).join("lib/server/libjvm.so")).target(programs::java());
        let mut running = run.start();
        assert_eq!(running.line(), "waiting");
        running.recorded_pid();
        running.tell("go");
        let recording = running.finish().expect_code(0);
        let jvm = recording.last_of_jvm();
        assert!(jvm.frames.iter().any(|frame| frame.code == Code::Java), "JDK {release}: no Java frame");
        assert_eq!(observed(&jvm, "early_block"), (222_100, 100));
    }
}

/// By fork and by its helper program, each with every allocation recorded in every process.
#[test]
fn programs_that_a_jvm_starts_are_what_they_were() {
    let classes = programs::java();
    for release in [11, 25] {
        for mechanism in ["FORK", "POSIX_SPAWN"] {
            let java = [format!("-Djdk.lang.Process.launchMechanism={mechanism}"), "-Xmx64m".into(), "-cp".into()];
            let plain = Command::new(machine::java(release)).args(&java).arg(&classes).args(["Spawns", "8"]).output();
            let sandbox = Sandbox::new();
            let run = sandbox.run().args(&["--sample", "1", "--follow"]).target(machine::java(release));
            let run = java.iter().fold(run, |run, option| run.target(option)).target(&classes);
            let recording = run.targets(&["Spawns", "8"]).finish().expect_code(0);
            let plain = plain.expect("java runs");
            assert_eq!(recording.out(), String::from_utf8_lossy(&plain.stdout), "JDK {release}, {mechanism}");
            let jvm = recording.last_of_jvm();
            assert!(jvm.frames.iter().any(|frame| frame.code == Code::Java), "JDK {release}, {mechanism}");
            let shells = recording.last_of_each().iter().filter(|profile| profile.target.name == "sh").count();
            assert_eq!(shells, 8, "JDK {release}, {mechanism}: {}", recording.err());
        }
    }
}

/// As jsvc does it. Nobody has asked to follow all processes, but those with a JVM are.
#[test]
fn a_jvm_in_a_forked_child_is_recorded_without_follow() {
    for release in [11, 25] {
        let sandbox = Sandbox::new();
        let run = sandbox.run().args(&["--sample", "1"]).target(programs::c_with_jni("late"));
        let run = run.target(machine::jre(release).join("lib/server/libjvm.so")).target(programs::java());
        let recording = run.target("fork").finish().expect_code(0);
        assert_eq!(recording.folders().len(), 2, "{}", recording.everything());
        let jvm = recording.last_of_jvm();
        assert!(jvm.frames.iter().any(|frame| frame.code == Code::Java), "JDK {release}: no Java frame");
        assert_eq!(observed(&jvm, "early_block"), (0, 0), "the parent's");
        assert!(observed(&jvm, "Busy.deep").1 > 0, "JDK {release}: {:?}", jvm.losses);
    }
}
