"""``seeds`` of ``metrics.json`` → the spread over seeds, apart from the spread over rows."""

from anlage.report.section import At, Cell, Section, Sheet, shown


def seeds_section(seeds: At) -> Section | None:
    """For each target a table: a row for each seed, then mean and standard deviation."""
    if not seeds:
        return None
    section = Section("Seeds: does it depend on luck?", "seeds")
    section.text.append(
        "The same fit with other random numbers. The intervals above say how far other rows would change the number; "
        "this says how far another seed does."
    )
    for target, found in seeds["targets"].items():
        name = str(found["metric"].value).replace("_", " ")
        against = bool(found["baseline"])
        rows = []
        for index, seed in enumerate(seeds["seeds"]):
            row = [Cell(f"seed {seed.value}", source=seed.pointer), shown(found["values"][index])]
            rows.append(row + ([shown(found["baseline"][index])] if against else []))
        for key, said in (("mean", "mean"), ("sd", "standard deviation")):
            rows.append([Cell(said, css="model"), shown(found[key]), *([Cell("")] if against else [])])
        header = ["", "this model", *(["best baseline"] if against else [])]
        section.blocks.append(Sheet(f"{target}: {name}", header, rows))
    return section
