"""The page around the sections: what was measured, how, and the papers' rows beside it."""

import html

from siv_jax.metrics import published, table
from siv_jax.report.style import STYLE


def page(record: dict, sections: list[str]) -> str:
    """HTML of the whole report for a record of `metrics.record` and the section of each of its images."""
    title = html.escape(record["name"])
    several = len(record["images"]) > 1
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Evaluation of {title}</title><style>{STYLE}</style></head><body><main>",
        f"<header><p class='kind'>Evaluation of samples</p><h1>{title}</h1>{_protocol(record)}</header>",
        f"<h2>{'Means over ' + str(len(record['images'])) + ' training images' if several else 'Metrics'}</h2>",
        _metrics(record["mean"]),
        _per_image(record) if several else "",
        _papers(record),
        *sections,
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _protocol(record: dict) -> str:
    protocol = record["protocol"]
    weights = ", ".join(f"{name} {digest}" for name, digest in protocol["weights"].items())
    return (
        f"<p>Protocol <code>{protocol['id']}</code>: LPIPS with {html.escape(protocol['lpips'])}, SIFID with FID-2015 "
        f"weights ({html.escape(weights)}), seed {protocol['seed']}. Only results of the same protocol compare.</p>"
    )


def _metrics(metrics: dict) -> str:
    rows = []
    for column in table.columns([metrics]):
        value = metrics[column.key]
        interval = table.interval(value, column)
        better = f"{column.better} is better" if column.better else ""
        rows.append(
            f"<tr><th>{column.title}</th><td class='value'>{table.number(value, column)}</td><td>{interval}</td>"
            f"<td class='text'>{better}</td><td class='text'>{column.meaning}</td></tr>"
        )
    head = "<tr><th></th><th>value</th><th>95% interval</th><th></th><th></th></tr>"
    return f"<div class='wide'><table class='metrics'><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"


def _per_image(record: dict) -> str:
    names = [*(image["name"] for image in record["images"]), "mean"]
    metrics = [*(image["metrics"] for image in record["images"]), record["mean"]]
    head, *body = table.rows_of(names, metrics)
    for row, image in zip(body, record["images"], strict=False):
        row[0] = f'<a href="#{html.escape(image["name"])}">{html.escape(image["name"])}</a>'
    return f"<h2>Each training image</h2>{_table(head, body, highlighted=len(body) - 1)}"


def _papers(record: dict) -> str:
    video = any(image["training_images"] > 1 for image in record["images"])
    keys = published.VIDEO_KEYS if video else published.IMAGE_KEYS
    rows = published.VIDEO_ROWS if video else published.IMAGE_ROWS
    by_key = {column.key: column for column in table.COLUMNS}
    ours = [html.escape(record["name"]), *(table.number(record["mean"].get(key), by_key[key]) for key in keys)]
    body = [ours, *([f"{name} (paper)", *(f"{value:.2f}" for value in row)] for name, row in rows.items())]
    caveat = f"{published.CAVEAT} {published.VIDEO_CAVEAT}" if video else published.CAVEAT
    return (
        f"<h2>Beside the paper</h2>{_table(['', *(by_key[key].title for key in keys)], body, highlighted=0)}"
        f"<p class='caveat'><b>How far these compare.</b> {caveat}</p>"
    )


def _table(head: list[str], body: list[list[str]], highlighted: int) -> str:
    """Cells as HTML."""
    heading = "".join(f"<th>{cell}</th>" for cell in head)
    rows = []
    for i, (name, *cells) in enumerate(body):
        mark = " class='ours'" if i == highlighted else ""
        rows.append(f"<tr{mark}><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<div class='wide'><table><thead><tr>{heading}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
