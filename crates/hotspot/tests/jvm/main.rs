//! Real JVMs, releases 11 to 25, with a probe preloaded that captures the Java stack of every malloc.
//!
//! The programs are `Workload.java` and `Churned.java` in this folder; the probe is `examples/probe`. Programs wait
//! for the probe, and for its writing, by files: no test depends on time. Figures are printed (`--nocapture`).

mod harness;

use harness::{RELEASES, Start, has};

const G1: &[&str] = &["-XX:+UseG1GC"];
const SERIAL: &[&str] = &["-XX:+UseSerialGC"];
const ZGC: &[&str] = &["-XX:+UnlockExperimentalVMOptions", "-XX:+UseZGC"];
const INTERPRETER: &[&str] = &["-Xint"];
const CHECKED: &[&str] = &["-Xcheck:jni"];
/// What every JRE has.
const OPTIONS: [&[&str]; 5] = [&[], G1, SERIAL, INTERPRETER, CHECKED];

/// Line of `Workload.java` that holds this text.
fn line_of(text: &str) -> usize {
    let source = include_str!("Workload.java");
    1 + source.lines().position(|line| line.contains(text)).expect("the marker is in the source")
}

#[test]
fn an_allocation_shows_the_java_line_and_threads_keep_their_names() {
    let leak = format!("Workload.leak(Workload.java:{})", line_of("// the leak"));
    let expected =
        ["~java.util.zip.Deflater.init(", "java.util.zip.Deflater.<init>(", "java.util.zip.Deflater.<init>(", &leak];
    for release in RELEASES {
        for options in [G1, SERIAL, ZGC, INTERPRETER, CHECKED] {
            let what = format!("JRE {release} {options:?}");
            if !has(release, options) {
                println!("{what}: this JVM has no such option");
                assert_eq!(options, ZGC, "only ZGC may be absent");
                continue;
            }
            let arguments = &["names", "deflate", "flush"];
            let run = Start { release, options, arguments, waits: true, every: 1, method_ids: None }.run();
            let report = run.report(0, &what);
            assert!(run.stdout.starts_with("main\nThread-0\n"), "{what}: {}", run.stdout);
            assert!(!run.stdout.contains("JNI local refs"), "{what}: {}", run.stdout);
            // Five mallocs each, or what the JRE's zlib makes of it.
            assert!(report.seen(&expected) >= 200, "{what}: {:#?}", report.stacks);
            println!("{what}: {}", report.figures());
            assert!(report.share() >= 0.99, "{what}: {:?}", report.words);
            // The interpreter's own allocations in that line, when it first meets the class.
            assert!(report.with_leaf(&leak) > 0, "{what}: {:#?}", report.stacks);
            assert!(report.count("completed_anchors") > 0, "{what}");
            assert!(report.count("method_ids") > 1000, "{what}");
            assert_eq!(report.count("attach_attempts"), report.count("attach_failures") + 1, "{what}");
            for nothing in [
                "failed_classes",
                "skipped_classes",
                "refused_capabilities",
                "wait_failures",
                "unresolved-23",
                "unknown_anchors",
                "refused-3",
            ] {
                assert_eq!(report.count(nothing), 0, "{what}: {nothing}");
            }
            assert!(report.words["version"].starts_with(&release.to_string()), "{what}: {}", report.words["version"]);
        }
    }
}

#[test]
fn many_threads_at_many_depths() {
    for release in RELEASES {
        for options in [G1, ZGC] {
            let what = format!("churn, JRE {release} {options:?}");
            if !has(release, options) {
                println!("{what}: this JVM has no such option");
                continue;
            }
            let run =
                Start { release, options, arguments: &["churn", "flush"], waits: true, every: 1, method_ids: None }
                    .run();
            let report = run.report(0, &what);
            println!("{what}: {}", report.figures());
            assert!(report.share() >= 0.99, "{what}: {:?}", report.words);
            assert!(report.stacks.iter().any(|(_, frames)| frames.len() > 35), "{what}: no deep stack");
        }
    }
}

#[test]
fn virtual_threads() {
    for release in [21, 25] {
        let what = format!("virtual threads, JRE {release}");
        let run =
            Start { release, options: &[], arguments: &["virtual", "flush"], waits: true, every: 1, method_ids: None }
                .run();
        let report = run.report(0, &what);
        println!("{what}: {}", report.figures());
        assert!(report.share() >= 0.99, "{what}: {:?}", report.words);
        let of_ours = |(_, frames): &&(u64, Vec<String>)| {
            frames[0].starts_with("~java.util.zip.Deflater.init(")
                && frames.iter().any(|frame| frame.starts_with("Workload.inVirtualThread(Workload.java"))
        };
        assert!(report.stacks.iter().filter(of_ours).count() > 0, "{what}: {:#?}", report.stacks);
    }
}

#[test]
fn classes_that_come_and_go() {
    for release in RELEASES {
        let what = format!("class churn, JRE {release}");
        let options = &["-XX:+UseSerialGC"];
        let run =
            Start { release, options, arguments: &["classes", "flush"], waits: true, every: 1, method_ids: None }.run();
        let report = run.report(0, &what);
        assert_eq!(run.stdout, "unloaded true\n", "{what}: classes are pinned");
        let of_ours =
            |(_, frames): &&(u64, Vec<String>)| frames.iter().any(|f| f.starts_with("Churned.run(Churned.java:"));
        let count: u64 = report.stacks.iter().filter(of_ours).map(|(count, _)| count).sum();
        println!("{what}: {count} captures in them, {} without a name", report.count("unresolved-23"));
        println!("{what}: {}", report.figures());
        assert!(report.share() >= 0.99, "{what}: {:?}", report.words);
        assert!(count > 0, "{what}: {:#?}", report.stacks);
        assert!(report.count("gc_starts") > 0, "{what}: no GC was seen");
        assert_eq!(report.count("gc_starts"), report.count("gc_finishes"), "{what}");
    }
}

/// Ids of methods stay with the JVM for ever: a program that makes classes all the time must not make us leak.
#[test]
fn classes_beyond_the_cap_on_method_ids_are_counted_and_have_no_names() {
    const CAP: u64 = 1000;
    for release in RELEASES {
        let what = format!("capped, JRE {release}");
        let arguments = &["classes", "flush"];
        let start = Start { release, options: &[], arguments, waits: true, every: 1, method_ids: Some(CAP) };
        let run = start.run();
        let report = run.report(0, &what);
        println!("{what}: {} ids, {} classes without", report.count("method_ids"), report.count("skipped_classes"));
        // The class that reaches it still gets all of its own.
        assert!((CAP..CAP + 1000).contains(&report.count("method_ids")), "{what}: {}", report.count("method_ids"));
        assert!(report.count("skipped_classes") > 100, "{what}: {}", report.count("skipped_classes"));
        assert_eq!(report.count("failed_classes"), 0, "{what}");
        assert!(report.count("with_frames") > 0, "{what}: the stacks are there, whoever has no name in them");
    }
}

/// A class that is loaded again and again by loaders of its own: each would cost the JVM a block of ids for ever.
#[test]
fn a_class_that_is_loaded_a_thousand_times_gets_no_more_method_ids() {
    for release in RELEASES {
        let what = format!("reloads, JRE {release}");
        let options = &["-XX:+UseSerialGC"];
        let arguments = &["reloads", "flush"];
        let run = Start { release, options, arguments, waits: true, every: 1, method_ids: None }.run();
        let report = run.report(0, &what);
        let skipped = report.count("skipped_classes");
        println!("{what}: {} ids, {skipped} of 1500 classes without", report.count("method_ids"));
        // A few names of the JVM's own may share the counter.
        assert!((500..=600).contains(&skipped), "{what}: {skipped}");
        assert!(report.share() >= 0.99, "{what}: {:?}", report.words);
    }
}

#[test]
fn every_way_to_end() {
    for release in RELEASES {
        for (ending, code) in [(&[][..], 0), (&["exit"], 3), (&["halt"], 4), (&["throw"], 1)] {
            let what = format!("JRE {release} ending with {ending:?}");
            let arguments = [&["deflate", "time"], ending].concat();
            let exit_ms = |every| {
                let run =
                    Start { release, options: &[], arguments: &arguments, waits: every > 0, every, method_ids: None }
                        .run();
                run.expect_code(code, &what);
                let time = run.stdout.lines().next().and_then(|line| line.parse().ok()).expect("a time is printed");
                // The JVM waits only 30 ms for the last tick, so a loaded machine may miss it.
                let end = run.report.as_ref().map_or("no report", |report| &report.words["end"]);
                (run.ended_ms.saturating_sub(time), end.to_owned())
            };
            let ((plain, _), (probed, end)) = (exit_ms(0), exit_ms(1));
            println!("{what}: took {probed} ms ({end}), without the probe {plain} ms");
        }
    }
}

/// The helper meets a JVM that ends at any moment of its set-up.
#[test]
fn twenty_starts_each_that_do_not_wait_for_the_helper() {
    let mut last_ticks = 0;
    for release in RELEASES {
        for round in 0..20 {
            let arguments: &[&str] = if round % 2 == 0 { &[] } else { &["deflate", "exit"] };
            let options = OPTIONS[round / 2 % OPTIONS.len()];
            let run = Start { release, options, arguments, waits: false, every: 1, method_ids: None }.run();
            run.expect_code(if round % 2 == 0 { 0 } else { 3 }, &format!("JRE {release} {options:?}, start {round}"));
            last_ticks += u32::from(run.report.is_some_and(|report| report.words["end"] == "last tick"));
        }
    }
    println!("{last_ticks} of 80 were resolved in the JVM's farewell");
    assert!(last_ticks > 0, "the JVM's exit never waited for the last tick");
}
