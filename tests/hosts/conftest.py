from tests.one_loop import anyio_backend as anyio_backend
from tests.one_loop import one_loop as one_loop
