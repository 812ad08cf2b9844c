from tests.host import Host
from tests.web.person import Person

def box(page, sel):
    return [ (round(b["x"]),round(b["y"],1),round(b["width"]),round(b["height"],1)) for b in (x.bounding_box() for x in page.locator(sel).all()) if b]

def test_look(host: Host, root: Person) -> None:
    page = root.page
    host.ok("media", "create", "web-disk", "--size", "1M")
    host.ok("media", "create", "data", "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "web-disk", "--media", "data", "--nic", "nat", "--nic", "nat")
    root.open("/vms/1")
    page.wait_for_timeout(800)
    page.screenshot(path="/tmp/s37-look-1.png")
    page.keyboard.press("Control+k")
    page.wait_for_timeout(500)
    page.keyboard.type("snapshot")
    page.wait_for_timeout(300)
    page.screenshot(path="/tmp/s37-look-2.png")
    print("PALETTE", box(page, ".v-palette .pf-v6-c-form-control"), box(page, ".v-palette .pf-v6-c-modal-box__close"), box(page, ".v-palette .pf-v6-c-modal-box__close button"))
    page.keyboard.press("Escape")
    root.open("/vms/1?do=delete")
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/s37-look-3.png")
    page.keyboard.press("Escape")
    root.open("/vms/1/settings")
    page.wait_for_timeout(1000)
    page.screenshot(path="/tmp/s37-look-4.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 3000})
    page.wait_for_timeout(300)
    page.screenshot(path="/tmp/s37-look-4.png")
    page.set_viewport_size({"width": 1280, "height": 1200})
    root.open("/create")
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/s37-look-5.png")
