"""The table that scripts/torture prints."""


def draw(rows):
    """All lines, the failures marked, and a sum."""
    lines = [f"{'':1} {'piece':22} {'mode':16} {'time':>8} {'ratio':>6} {'recorded':>8}  result and losses"]
    for row in rows:
        lost = ", ".join(f"{name} {count:,}" for name, count in sorted(row.losses.items()) if count)
        lines.append(
            f"{'!' if row.bad else ' ':1} {row.name:22} {row.mode:16} {row.seconds:7.1f}s {row.slower:6.2f} "
            f"{row.processes:8}  {row.verdict}" + (f"  [{lost}]" if lost else "")
        )
    runs = [row for row in rows if row.mode != "plain"]
    lines.append(f"{len(runs)} runs under leakscope, {sum(row.bad for row in runs)} differ from the plain run")
    return "\n".join(lines)
