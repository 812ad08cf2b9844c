"""A wrong declaration fails at import; the right ones say what the contract says."""

from __future__ import annotations

import pytest
from openapi_spec_validator import validate

from velocity.contract.auth import SIGN_IN, SignIn
from velocity.contract.machines import VmRequest
from velocity.contract.openapi import build
from velocity.contract.operation import Failure, Holds, Method, Nothing, On, Operation, SignedIn
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem
from velocity.contract.registry import OPERATIONS

GOOD = {
    "name": "x",
    "summary": "x",
    "method": Method.POST,
    "path": "/x",
    "route": 13,
    "request": VmRequest,
    "response": Nothing,
    "needs": Holds(Permission.VM_VIEW, On.VM),
    "failures": (
        Failure(13100, 403, Problem.NO_PERMISSION, "x"),
        Failure(13110, 404, Problem.VM_NOT_FOUND, "x"),
    ),
}


def test_a_right_declaration() -> None:
    assert Operation(**GOOD).name == GOOD["name"]  # type: ignore[arg-type]


@pytest.mark.parametrize("forgotten", ["needs", "failures", "route", "request"])
def test_nothing_can_be_forgotten(forgotten: str) -> None:
    with pytest.raises(TypeError):
        Operation(**{key: value for key, value in GOOD.items() if key != forgotten})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "failures",
    [
        (Failure(13110, 404, Problem.VM_NOT_FOUND, "no number for the missing permission"),),
        (Failure(13100, 403, Problem.NO_PERMISSION, "no number for the missing object"),),
        (*GOOD["failures"], Failure(12121, 406, Problem.VM_QUOTA, "of another route")),  # type: ignore[misc]
        (*GOOD["failures"], Failure(13221, 406, Problem.VM_QUOTA, "of another method")),  # type: ignore[misc]
        (*GOOD["failures"], Failure(13121, 404, Problem.VM_QUOTA, "kind and status differ")),  # type: ignore[misc]
        (*GOOD["failures"], Failure(13111, 404, Problem.VM_NOT_FOUND, "twice")),  # type: ignore[misc]
    ],
)
def test_wrong_numbers_are_refused(failures: tuple[Failure, ...]) -> None:
    with pytest.raises(TypeError):
        Operation(**{**GOOD, "failures": failures})  # type: ignore[arg-type]


def test_a_permission_needs_the_field_that_names_its_object() -> None:
    with pytest.raises(TypeError):
        Operation(**{**GOOD, "request": SignIn})  # type: ignore[arg-type]


def test_permissions_have_the_contracts_ids() -> None:
    assert (Permission.USER_CREATE.pid, Permission.POOL_LIST.pid, Permission.NIC_LIST.pid) == (1, 10, 22)
    ours = (Permission.HOST_VIEW, Permission.MEDIA_WRITE, Permission.NIC_TRUST, Permission.HOST_REACH)
    assert [permission.pid for permission in (*ours, Permission.VM_GUEST, Permission.NODE_MANAGE)] == [
        *range(23, 29)
    ], "ours come after the contract's"
    assert len({permission.description for permission in Permission}) == len(Permission)


@pytest.mark.holds("API-3")
def test_openapi_passes_a_public_validator() -> None:
    document = build()
    validate(document)
    described = sum(len(methods) for methods in document["paths"].values())
    apart = {("get", path) for path, methods in document["paths"].items() if "get" in methods}
    tus = sum(len(methods) for path, methods in document["paths"].items() if path.startswith("/m/media/tus"))
    assert described == len(OPERATIONS) + len(apart) + tus, "what keeps a protocol of its own"
    assert (len(apart), tus) == (7, 6)


CONTRACT = """
POST /u/auth 1100:403 | DELETE /u/auth | PATCH /u/auth 1400:403 1401:403
PUT /u/session 28200:403 | POST /u/session | PATCH /u/session | DELETE /u/session 28310:404 | POST /u/session/list
POST /u/user 2100:403 2110:404 | PUT /u/user 2200:403 2210:404 2220:409 2221:406
DELETE /u/user 2300:403 2310:404 2320:406 2321:409 | PATCH /u/user 2400:403 2410:404 2411:404 2420:409 2421:406 | POST /u/user/list 3100:403
PUT /u/user/permission 4200:403 4210:404 4211:404 4212:404 4220:403 4221:409
DELETE /u/user/permission 4300:403 4310:404 4311:404 4312:404 4320:406 4321:409
POST /u/group 5100:403 5110:404 | PUT /u/group 5200:403 5210:404 5220:409 5221:406 5222:406
DELETE /u/group 5300:403 5310:404 5320:406 5321:409 5322:409 5323:409 5324:406 | POST /u/group/list
POST /u/group/quota 18100:403 18110:404 | PUT /u/group/quota 18200:403 18210:404 18220:406 18221:409
PUT /m/pool/assign 6200:403 6210:404 6211:404 6220:406 6221:409
DELETE /m/pool/assign 6300:403 6310:404 6311:404 6320:409
POST /m/pool/list 7100:403 7110:404
PUT /m/media/create 8200:403 8201:403 8210:404 8211:404 8220:409 8221:406 8222:406
PUT /m/media/upload 9200:403 9201:403 9210:400 9211:400 9212:400 9213:400 9214:400 9215:400 9216:400 9217:404 9218:404 9220:409 9221:406 9222:413 9223:406 9225:406 9226:410
POST /m/media/upload 9100:403 9110:404
DELETE /m/media/upload 9300:403 9310:404
POST /m/catalogue | POST /m/media/list 10100:403 10110:404 | DELETE /m/media 14300:403 14310:404 14320:409 14321:409 14322:406 14323:409
POST /m/media 14101:403 14111:404
PUT /m/media/move 43200:403 43201:403 43210:404 43211:404 43212:404 43220:409 43221:406 43222:406 43223:409 43224:409
PUT /m/media/convert 42200:403 42201:403 42210:404 42211:404 42212:404 42221:406 42222:406 42223:409 42224:406
PATCH /m/media 14400:403 14401:403 14410:404 14411:404 14412:404 14420:409 14421:406 14422:406 14423:409 14424:409 14425:406 14426:409 14427:406
POST /v/nic/list 11100:403
PUT /v/vm/efi 12200:401 12210:404 12211:404 12212:404 12214:404 12220:406 12221:406 12222:406 12223:409 12224:409 12225:406 12226:406 12227:406 12228:409 12229:409 12240:406 12260:409 12261:406 12262:406 12280:406
POST /v/vm/state 13100:403 13110:404
PUT /v/vm/state 13200:403 13210:404 13220:406 13221:406 13222:406 13223:406 13224:409 13230:500 13295:409
POST /v/vm 16110:404
DELETE /v/vm 16300:403 16310:404 16311:404 16320:409 16321:409 16322:409 16323:406 16395:409
PATCH /v/vm 16400:403 16410:404 16411:404 16412:404 16414:404 16420:406 16421:406 16422:406 16423:409 16424:409 16425:406 16426:406 16427:406 16428:409 16429:409 16440:409 16460:409 16461:406 16462:406 16490:406 16495:409
POST /v/vm/list 17100:401 17110:404
PUT /m/media/import 21200:403 21201:403 21210:404 21211:404 21212:404 21220:409 21221:406 21222:406 21223:409 21224:406
PUT /m/media/fetch 49200:403 49201:403 49210:404 49211:404 49220:409 49221:406 49222:406
PUT /m/media/clone 22200:403 22201:403 22210:404 22211:404 22212:404 22220:409 22221:406 22223:409 22224:406
POST /t/task 23100:403 23110:404 | DELETE /t/task 23300:403 23310:404 | POST /t/task/list 24100:403 24110:404
PUT /t/trash 25200:403 25210:404 25211:404 25212:404 25213:404 25220:409 25221:409 25222:409 25223:409 25224:406 25225:406 25226:406 25227:406 25228:406 25229:409 25260:409 25280:406
DELETE /t/trash 25300:403 25310:404 | POST /t/trash/list | DELETE /t/trash/all
POST /t/history 27100:403 27110:404
POST /u/why 20100:403 20110:404 20111:404
POST /v/vm/console 19100:403 19110:404 19120:406 19121:406 | POST /v/vm/log 30100:403 30110:404
PUT /v/vm/clone 39200:403 39201:403 39210:404 39211:404 39212:404 39213:404 39214:404 39220:406 39221:406 39222:406 39223:409 39224:409 39225:406 39226:409 39227:409 39228:406 39240:406 39280:406 39295:409
PUT /v/vm/move 50200:403 50201:403 50210:404 50211:404 50212:404 50213:404 50220:406 50221:406 50222:406 50223:409 50224:409 50225:406 50226:409 50227:409 50228:409 50295:409
PUT /v/vm/restart 38200:403 38210:404 38220:406 38230:500 38295:409
PUT /v/vm/reset 53200:403 53210:404 53220:406 53230:500 53295:409
PUT /v/vm/boot 54200:403 54210:404 54211:404 54212:404 54295:409
POST /v/vm/screen 31100:403 31110:404 31120:406 31121:406 31122:406 31130:500 | POST /v/vm/screen/search 32120:406
POST /v/vm/guest 44100:403 44110:404 | PUT /v/vm/exec 45200:403 45210:404 45220:406 45221:406 45230:500
PUT /v/vm/guest/password 46200:403 46210:404 46220:406 46221:406 46230:500 | PUT /v/vm/guest/keys 46201:403 46211:404 46222:406 46223:406 46231:500
POST /v/vm/guest/file 47100:403 47110:404 47120:406 47121:406 47130:500 | PUT /v/vm/guest/file 47200:403 47210:404 47220:406 47221:406 47230:500
PUT /v/vm/freeze 41200:403 41210:404 41220:406 41221:406 41230:500 | PUT /v/vm/thaw 41201:403 41211:404 41222:406 41223:406 41231:500
POST /v/vm/metrics 33100:403 33110:404
POST /v/vm/usage
POST /v/vm/command 34100:403 34110:404 34120:406
POST /h/host 35100:403 35110:404
POST /h/node/list 57100:403
POST /h/node 57101:403 57110:404
PATCH /h/node 57400:403 57410:404 57420:409 57421:406 57480:406
DELETE /h/node 57300:403 57310:404 57320:409 57321:406
PUT /h/node/token 58200:403 58210:404 58220:409 58221:406
PUT /h/node/fence 60200:403 60210:404 60220:406 60221:406 60222:406 | DELETE /h/node/fence 60300:403 60310:404 60320:406
POST /h/node/fence 60100:403 60110:404 60120:406 60130:500
PATCH /h/node/fence 60400:403 60410:404 60420:406 60421:406 60430:500
PUT /h/node/dead 61200:403 61210:404 61220:409 61221:406 61222:406
PUT /h/node/blocklist 48200:403 48210:404 48220:409 48221:406 48222:406 48223:406 48230:500
PUT /h/node/join 59200:403 59220:409 59221:409 59222:406
POST /v/vm/host 62100:403 62110:404
PUT /v/vm/host 62200:403 62201:403 62210:404 62211:404 62212:404 62213:404 62220:406 62221:406 62222:409 62223:409 62224:409 62225:409 62226:406 62227:406 62228:406
PUT /h/node/drain 62209:403 62219:404 62290:406 62291:409
"""  # noqa: E501 - one line an endpoint


@pytest.mark.holds("API-2")
def test_every_number_and_status_is_the_contracts() -> None:
    expected = {}
    for entry in CONTRACT.replace("\n", "|").split("|"):
        if words := entry.split():
            expected[f"{words[0]} {words[1]}"] = set(words[2:])
    declared = {
        f"{one.method.name} {one.path}": {f"{failure.code}:{failure.status}" for failure in one.failures}
        for one in OPERATIONS
    }
    assert declared == expected


def test_signing_in_needs_nothing_and_says_why() -> None:
    assert not isinstance(SIGN_IN.needs, SignedIn | Holds)
    assert SIGN_IN.needs.reason
