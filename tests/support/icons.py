"""Draws the app's icons from the product's mark: ``python -m tests.support.icons``."""

from pathlib import Path

from tests.support.browser import launched

IMAGES = Path(__file__).resolve().parents[2] / "static" / "img"
# Name, pixels, share of the picture that the mark fills, whether the ground reaches the edge.
# A maskable icon keeps what matters inside a circle of 80 %.
ICONS = (
    ("icon-192.png", 192, 1.0, False),
    ("icon-512.png", 512, 1.0, False),
    ("icon-maskable-512.png", 512, 0.78, True),
    ("apple-touch-icon.png", 180, 1.0, True),
)


def main() -> None:
    """Write the PNG files beside the mark."""
    mark = (IMAGES / "logo.svg").read_text(encoding="utf-8")
    with launched() as browser:
        for name, side, share, full in ICONS:
            page = browser.new_page(viewport={"width": side, "height": side})
            ground = "#1c5d8c" if full else "transparent"
            page.set_content(
                f"<style>body{{margin:0;block-size:{side}px;display:grid;place-content:center;"
                f"background:{ground}}}svg{{inline-size:{side * share}px}}</style>{mark}"
            )
            page.screenshot(path=IMAGES / name, omit_background=True)
            page.close()


if __name__ == "__main__":
    main()
