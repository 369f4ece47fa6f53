"""``/``: where somebody ends up who opens the gateway's address."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gateway.problems import wants_page
from gateway.templates import render
from gateway.version import VERSION

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request) -> Response:
    if wants_page(request):
        return render("home.html", version=VERSION)
    return JSONResponse({"name": "Tocsin", "version": VERSION, "openapi": "/openapi.json"})
