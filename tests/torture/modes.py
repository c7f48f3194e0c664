"""The ways in which a piece is run: the words before its command, and its environment."""

ALLOCATORS = "/usr/lib/x86_64-linux-gnu"
PRELOADS = {
    "jemalloc": f"{ALLOCATORS}/libjemalloc.so.2",
    "tcmalloc": f"{ALLOCATORS}/libtcmalloc_minimal.so.4",
    "mimalloc": f"{ALLOCATORS}/libmimalloc.so.2",
}

# default: as a user types it. follow: every process of the tree. exact: every process, every allocation. ALLOCATOR-behind:
# LD_PRELOAD named the allocator already, leakscope puts itself before it. ALLOCATOR-before: the allocator comes first.
ALL = ["default", "follow", "exact"] + [f"{name}-{place}" for name in PRELOADS for place in ("behind", "before")]


def allocator(mode):
    """The preloaded allocator's name and place, or None twice."""
    name, _, place = mode.partition("-")
    return (name, place) if name in PRELOADS else (None, None)


def plain_like(mode):
    """The environment of the plain run which `mode` compares with: with its allocator, without leakscope."""
    name, _ = allocator(mode)
    return {"LD_PRELOAD": PRELOADS[name]} if name else {}


def words(mode, leakscope, recording):
    """What stands before the command, as one string for bash."""
    if mode == "plain":
        return ""
    options = {"exact": "--follow --sample 1"}.get(mode, "" if mode == "default" else "--follow")
    start = f"{leakscope} run {options} -o {recording} --"
    name, place = allocator(mode)
    if place == "before":
        return f"{start} {__file__.removesuffix('modes.py')}before.sh {PRELOADS[name]}"
    if place == "behind":
        return f"env LD_PRELOAD={PRELOADS[name]} {start}"
    return start
