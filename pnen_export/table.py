"""The parity table as people read it."""

from .parity import Row


def parity_table(name: str, rows: list[Row]) -> str:
    """One line for each size and strength, with the worst of the inputs; every input that failed has its own line."""
    adjustable = any(row.strength for row in rows)
    head = f"{'strength':9}" if adjustable else ""
    lines = [
        f"{name} against PyTorch in FP32",
        f"  {'size':28} {head}{'worst input':13} {'max abs':>8} {'PSNR':>9} {'within 1 level':>15}",
    ]
    for size, strength in dict.fromkeys((row.size, row.strength) for row in rows):
        of_size = [row for row in rows if (row.size, row.strength) == (size, strength)]
        at = f"{strength:9}" if adjustable else ""
        shown = [row for row in of_size if not row.passed] or [max(of_size, key=lambda row: row.max_abs)]
        lines += [
            f"  {row.size:28} {at}{row.input:13} {row.max_abs:8.1e} {row.psnr:6.1f} dB {row.within_one_level:15.2%}  "
            f"{'ok' if row.passed else 'FAILED'}"
            for row in shown
        ]
    return "\n".join(lines)
