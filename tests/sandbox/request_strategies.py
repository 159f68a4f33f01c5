"""Random valid requests of every model that the sandbox has."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies

from airflow_provider_apimart.sandbox.service.models import MODELS

Body = dict[str, Any]
DESCRIBED = strategies.sampled_from(sorted(MODELS))


@strategies.composite
def requests_of(draw: strategies.DrawFn) -> tuple[Body, int]:
    """Draw a valid request of any model, with what it has references."""
    model = MODELS[draw(DESCRIBED)]
    choices: dict[str, strategies.SearchStrategy[Any]] = {
        "n": strategies.integers(1, model.max_n),
        "resolution": strategies.sampled_from(sorted(model.resolutions) or (None,)),
        "size": strategies.sampled_from(model.sizes or (None,)),
        "duration": strategies.sampled_from(model.durations or (None,)),
        **{name: strategies.sampled_from(schema.get("enum", [True, False])) for name, schema in model.extras.items()},
    }
    if model.modality == "music":
        choices = (
            {
                "version": strategies.sampled_from(["v4.5", "v5", "v6"]),
                "max_mode": strategies.booleans(),
            }
            if model.name == "suno"
            else {}
        )
    chosen = {name: draw(choice) for name, choice in choices.items() if draw(strategies.booleans())}
    body = {name: value for name, value in chosen.items() if value is not None}
    references = draw(strategies.integers(0 if model.prompt_required else 1, model.max_references))
    if references:
        body["image_urls"] = [f"https://example.com/{number}.png" for number in range(references)]
    text = draw(strategies.text("abcdef ", min_size=1).filter(str.strip))
    words = {"sound_prompt": text} if model.name == "flowmusic" else {"prompt": text}
    return {"model": model.name, **words, **body}, references
