"""What a page does while a test uses it."""

from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Page, Route


@dataclass
class Watch:
    """What went wrong on a page while a test used it. Another host is never reached."""

    home: str
    elsewhere: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def start(self, page: Page) -> None:
        """Watch this page from now on."""
        page.route("**/*", self._route)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _route(self, route: Route) -> None:
        if route.request.url.startswith((self.home, "data:", "blob:", "about:")):
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort("internetdisconnected")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} ({message.location['url']})")
