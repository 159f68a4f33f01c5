"""Bodies of replies as they were recorded or documented."""

from __future__ import annotations

from typing import Any

TASK_ID = "task_01KPQ7J7DWB7QZ3WCEK3YVPBRA"
URL = "https://upload.apimart.ai/f/image/9998236911693428-e8d7441f-image_task_0.png"
OTHER_URL = "https://cdn.apimart.ai/f/image/1-image_task_1.png"
VIDEO_URL = "https://getapib.org/f/video/7.mp4"
FRAME_URL = "https://getapib.org/f/image/7-last.png"
AUDIO_URL = "https://cdn.apimart.ai/f/audio/7.mp3"

RECORDED_SUBMIT: dict[str, Any] = {"code": 200, "data": [{"status": "submitted", "task_id": TASK_ID}]}
RECORDED_PENDING: dict[str, Any] = {
    "code": 200,
    "data": {"id": TASK_ID, "status": "pending", "progress": 0, "created": 1789806894, "estimated_time": 60},
}
RECORDED_COMPLETED: dict[str, Any] = {
    "code": 200,
    "data": {
        "id": TASK_ID,
        "status": "completed",
        "progress": 100,
        "actual_time": 7,
        "estimated_time": 60,
        "created": 1789806894,
        "completed": 1789806901,
        "cost": 0.00476,
        "credits_cost": 0.0476,
        "result": {"images": [{"url": [URL], "expires_at": 1789893301}]},
        "usage": {
            "input_tokens": 14,
            "input_tokens_details": {"cached_tokens": 0, "image_tokens": 0, "text_tokens": 14},
            "output_tokens": 196,
            "output_tokens_details": {"image_tokens": 196, "text_tokens": 0},
            "total_tokens": 210,
        },
    },
}
RECORDED_FAILED: dict[str, Any] = {
    "code": 200,
    "data": {
        "id": "task_x",
        "status": "failed",
        "progress": 100,
        "created": 1781589029,
        "completed": 1781589050,
        "error": {"message": "upstream error", "code": ""},
    },
}
RECORDED_UPLOAD: dict[str, Any] = {
    "url": "https://upload.apimart.ai/f/image/9990000123456-a1b2c3d4-photo.jpg",
    "filename": "photo.jpg",
    "content_type": "image/jpeg",
    "bytes": 235680,
    "created_at": 1743436800,
}
BALANCE: dict[str, Any] = {"success": True, "remain_balance": 10.5, "used_balance": 2.3, "unlimited_quota": False}


def completed(result: object, **more: Any) -> dict[str, Any]:
    """Return a completed task with a result, in the envelope."""
    return {"code": 200, "data": {"id": TASK_ID, "status": "completed", "result": result, **more}}


MODELS: dict[str, Any] = {
    "object": "list",
    "data": [
        {
            "id": "kling-v3",
            "category": "video",
            "capability_tags": ["video_generation"],
            "supported_endpoint_types": ["video_generation"],
            "parameters": {
                "operation": "video_generation",
                "endpoint": "/v1/videos/generations",
                "input_schema": {
                    "additionalProperties": False,
                    "properties": {
                        "model": {"const": "kling-v3"},
                        "duration": {"type": "integer", "enum": [5, 10], "default": 5},
                        "seed": {"anyOf": [{"minimum": 0, "maximum": 9.5}, {"type": "null"}]},
                        "image_urls": {"type": "array", "maxItems": 2},
                    },
                },
            },
        }
    ],
}
