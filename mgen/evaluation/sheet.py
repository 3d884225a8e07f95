"""The sheet: an HTML page with the scorecard, and pictures and players of real and made clips side by side.

It lies in a folder with its sounds and pictures and needs nothing else: no network, no script.
"""

from __future__ import annotations

import html
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from mgen import audio, pictures

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
td { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { text-align: left; vertical-align: bottom; }
.wide { overflow-x: auto; }
.clips { display: grid; gap: 1rem; grid-template-columns: repeat(var(--sets), minmax(17rem, 1fr)); }
figure { margin: 0; }
figure img { width: 100%; display: block; }
figure audio { width: 100%; height: 2.2rem; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
"""


def write(
    folder: pathlib.Path,
    *,
    title: str,
    notes: Sequence[str],
    tables: Mapping[str, Sequence[Mapping[str, object]]],
    clips: Mapping[str, np.ndarray],
    captions: Mapping[str, Sequence[str]],
    sample_rate: int,
) -> pathlib.Path:
    """Writes FOLDER/index.html, and a wav and a png for each clip beside it.

    Args:
      folder: made if need be.
      title: heading of the page.
      notes: paragraphs under it.
      tables: name to rows, {column: text or number}.
      clips: name of a set to float32 [count, samples]; sound i of each set stands in row i.
      captions: name of a set to a caption for each of its sounds, where it has some.
      sample_rate: Hz.

    Returns:
      The path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells = []
    for index in range(max(len(waves) for waves in clips.values())):
        for number, (name, waves) in enumerate(clips.items()):
            if index >= len(waves):
                cells.append("<span></span>")
                continue
            stem = folder / f"{number}_{name.replace(' ', '_')}_{index:03d}"
            own = captions.get(name, ())
            caption = f"{name} {index}" + (f": {own[index]}" if index < len(own) else "")
            audio.write(stem.with_suffix(".wav"), waves[index], sample_rate=sample_rate)
            pictures.spectrogram(stem.with_suffix(".png"), waves[index], sample_rate=sample_rate, title=caption)
            cells.append(_figure(stem.name, caption))
    body = [f"<h1>{html.escape(title)}</h1>", *(f"<p>{html.escape(note)}</p>" for note in notes)]
    body += [_table(name, rows) for name, rows in tables.items() if rows]
    body.append(f'<h2>Sounds</h2><div class="clips wide" style="--sets: {len(clips)}">{"".join(cells)}</div>')
    page = folder / "index.html"
    page.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n",
        encoding="utf-8",
    )
    return page


def _figure(stem: str, caption: str) -> str:
    text = html.escape(caption, quote=True)
    return (
        f'<figure><img src="{html.escape(stem)}.png" alt="mel spectrogram of {text}" loading="lazy">'
        f'<audio controls preload="metadata" src="{html.escape(stem)}.wav" aria-label="{text}"></audio>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _table(name: str, rows: Sequence[Mapping[str, object]]) -> str:
    titles = list(dict.fromkeys(title for row in rows for title in row))
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in titles)
    lines = []
    for row in rows:
        first, *rest = (html.escape(str(row.get(title, ""))) for title in titles)
        lines.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>')
    return f'<h2>{html.escape(name)}</h2><div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'
