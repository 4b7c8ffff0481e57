"""`_call/nurseries.py`: what comes out of a nursery that nobody is to know of."""

from __future__ import annotations

import gc
import signal
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
from pytest import RaisesGroup  # noqa: PT013  # beside `pytest.raises`, as its docs have it

from trillium._call.nurseries import lone_error, open_private_nursery


class MyGroup(ExceptionGroup[Exception]):
    """A group of the user's own, which does not know how to split itself."""


async def raise_(error: BaseException) -> None:
    raise error


async def test_without_an_error_the_block_waits_for_the_tasks() -> None:
    done: list[int] = []

    async def work() -> None:
        await trio.lowlevel.checkpoint()
        done.append(1)

    async with open_private_nursery() as nursery:
        nursery.start_soon(work)
    assert done == [1]


async def test_an_error_of_the_block_arrives_as_the_very_object() -> None:
    error, cause, context = ValueError("mine"), KeyError("cause"), TypeError("context")
    error.__cause__, error.__context__ = cause, context
    with pytest.raises(ValueError, match="mine") as caught:
        async with open_private_nursery():
            raise error
    assert caught.value is error
    assert error.__cause__ is cause
    assert error.__context__ is context
    # Nothing of the nursery is in the traceback: the block's line is the last.
    frames = traceback.extract_tb(error.__traceback__)
    assert [frame.filename for frame in frames] == [__file__]


async def test_an_error_that_was_raised_without_context_gets_none() -> None:
    with pytest.raises(ValueError, match="mine") as caught:
        async with open_private_nursery():
            raise ValueError("mine")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ is False


@pytest.mark.parametrize("block", [trio.sleep_forever, trio.lowlevel.checkpoint])
async def test_an_error_of_a_task_arrives_alone(block: Callable[[], Awaitable[None]]) -> None:
    """Whether the block was cancelled by it, or had ended before."""
    error = ValueError("task")
    error.__cause__ = cause = KeyError("cause")
    error.__context__ = context = TypeError("context")
    with pytest.raises(ValueError, match="task") as caught:
        async with open_private_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(raise_, error)
            await block()
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, context)
    assert "raise_" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]


async def test_what_is_raised_in_an_except_block_keeps_that_as_its_context() -> None:
    with pytest.raises(ValueError, match="second") as caught:
        async with open_private_nursery():
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")  # noqa: B904  # the context is what is tested
    assert isinstance(caught.value.__context__, KeyError)
    assert caught.value.__context__.__context__ is None


async def test_a_block_inside_of_an_except_block_keeps_its_errors_context() -> None:
    with pytest.raises(ValueError, match="inner") as caught:
        try:
            raise KeyError("outer")
        except KeyError:
            async with open_private_nursery() as nursery:
                nursery.start_soon(raise_, ValueError("inner"))
    assert not isinstance(caught.value.__context__, BaseExceptionGroup)


async def test_two_errors_stay_a_group() -> None:
    with RaisesGroup(ValueError, KeyError):
        async with open_private_nursery() as nursery:
            nursery.start_soon(raise_, KeyError("task"))
            raise ValueError("block")


async def test_two_errors_among_cancellations_stay_a_group() -> None:
    with RaisesGroup(ValueError, KeyError):
        async with open_private_nursery() as nursery:
            nursery.start_soon(raise_, KeyError("one"))
            nursery.start_soon(raise_, ValueError("two"))
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize("kind", [ExceptionGroup, MyGroup])
async def test_a_group_of_the_users_own_stays_what_it_is(
    *, kind: type[ExceptionGroup[Exception]], cancelled: bool
) -> None:
    """Also where the nursery is cancelled, and trio splits every group it sees."""
    error = kind("mine", [ValueError("one")])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_private_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            if cancelled:
                nursery.cancel_scope.cancel()
            raise error
    assert caught.value is error


async def test_a_group_from_a_nursery_of_the_users_own_is_not_opened() -> None:
    with RaisesGroup(ValueError):
        async with open_private_nursery():
            async with trio.open_nursery() as own:
                own.start_soon(raise_, ValueError("in the user's nursery"))


async def test_private_nurseries_in_one_another_let_a_lone_error_through() -> None:
    error = ValueError("inmost")
    with pytest.raises(ValueError, match="inmost") as caught:
        async with open_private_nursery(), open_private_nursery() as inner:
            inner.start_soon(raise_, error)
            await trio.sleep_forever()
    assert caught.value is error


async def test_an_error_while_an_outer_scope_is_cancelled_arrives_alone() -> None:
    error = ValueError("in spite of it")
    with pytest.raises(ValueError, match="in spite") as caught:
        with trio.CancelScope() as outer:
            async with open_private_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await trio.lowlevel.checkpoint()
                outer.cancel()
                try:
                    await trio.sleep_forever()
                finally:
                    raise error
    assert caught.value is error
    assert not outer.cancelled_caught


async def test_a_cancelled_users_nursery_with_an_error_leaves_its_cancellations_to_the_scope() -> (
    None
):
    with RaisesGroup(RaisesGroup(ValueError)):
        async with trio.open_nursery() as outer:
            async with open_private_nursery() as nursery:
                nursery.cancel_scope.cancel()
                async with trio.open_nursery() as own:
                    own.start_soon(trio.sleep_forever)
                    own.start_soon(raise_, ValueError("mine"))
                    outer.cancel_scope.cancel()


async def test_an_outer_cancellation_passes_as_a_plain_one() -> None:
    seen: list[BaseException] = []
    with trio.CancelScope() as outer:
        try:
            async with open_private_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                nursery.start_soon(trio.sleep_forever)
                await trio.lowlevel.checkpoint()
                outer.cancel()
                await trio.sleep_forever()
        except BaseException as error:
            seen.append(error)
            raise
    assert outer.cancelled_caught
    assert isinstance(seen[0], trio.Cancelled)


async def test_an_outer_cancellation_after_the_block_passes_as_a_plain_one() -> None:
    seen: list[BaseException] = []
    with trio.CancelScope() as outer:
        try:
            async with open_private_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                outer.cancel()
        except BaseException as error:
            seen.append(error)
            raise
    assert outer.cancelled_caught
    assert isinstance(seen[0], trio.Cancelled)


async def test_of_two_scopes_that_are_cancelled_at_once_the_outer_one_is_served() -> None:
    after: list[str] = []
    with trio.CancelScope() as outer:
        with trio.CancelScope() as inner:
            async with open_private_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                inner.cancel()
                outer.cancel()
                await trio.sleep_forever()
        after.append("never")
    assert outer.cancelled_caught
    assert after == []


async def test_an_inner_scope_that_is_cancelled_alone_lets_the_code_behind_it_go_on() -> None:
    after: list[str] = []
    with trio.CancelScope() as outer:
        with trio.CancelScope() as inner:
            async with open_private_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                inner.cancel()
                await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        after.append("went on")
    assert inner.cancelled_caught
    assert not outer.cancelled_caught
    assert after == ["went on"]


async def test_a_nursery_that_is_cancelled_itself_ends_in_silence() -> None:
    with trio.CancelScope() as outer:
        async with open_private_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.cancel_scope.cancel()
            await trio.sleep_forever()
    assert not outer.cancel_called


async def test_cancelled_inside_and_outside_at_once_the_outer_scope_is_served() -> None:
    after: list[str] = []
    with trio.CancelScope() as outer:
        async with open_private_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.cancel_scope.cancel()
            outer.cancel()
            await trio.sleep_forever()
        after.append("never")
    assert outer.cancelled_caught
    assert after == []


async def test_a_deadline_around_it_is_a_too_slow_error(autojump_clock: trio.abc.Clock) -> None:
    with pytest.raises(trio.TooSlowError):
        with trio.fail_after(1):
            async with open_private_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await trio.sleep_forever()


@pytest.mark.parametrize("of_task", [True, False])
async def test_a_lone_keyboard_interrupt_arrives_as_such(*, of_task: bool) -> None:
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        async with open_private_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            if of_task:
                nursery.start_soon(raise_, error)
                await trio.sleep_forever()
            raise error
    assert caught.value is error


async def test_a_keyboard_interrupt_among_errors_stops_the_program_and_shows_them() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        async with open_private_nursery() as nursery:
            nursery.start_soon(raise_, ValueError("task"))
            raise KeyboardInterrupt
    cause = caught.value.__cause__
    assert isinstance(cause, BaseExceptionGroup)
    assert {type(error) for error in cause.exceptions} == {ValueError, KeyboardInterrupt}


def test_ctrl_c_comes_out_of_a_run_as_such() -> None:
    async def main() -> None:
        async with open_private_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


async def test_system_exit_among_errors_stays_in_the_group() -> None:
    """It would end the program without a word of the other error."""
    with RaisesGroup(SystemExit, ValueError):
        async with open_private_nursery() as nursery:
            nursery.start_soon(raise_, ValueError("task"))
            raise SystemExit(0)


@pytest.mark.parametrize("kind", [StopAsyncIteration, StopIteration])
async def test_the_end_of_an_iterator_in_the_block_arrives_as_such(kind: type[Exception]) -> None:
    """Generators turn it into a RuntimeError; this one must not seem to be one."""
    error = kind()
    caught: BaseException | None = None
    try:
        async with open_private_nursery():
            raise error
    except (StopAsyncIteration, StopIteration) as stop:
        caught = stop
    assert caught is error


async def test_a_generator_that_is_closed_in_the_block_is_closed() -> None:
    events: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        async with open_private_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                yield 1
            except GeneratorExit:
                events.append("closed")
                nursery.cancel_scope.cancel()
                raise

    generator = numbers()
    assert await anext(generator) == 1
    await generator.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert events == ["closed"]


@pytest.mark.parametrize("of_task", [True, False])
async def test_an_error_is_not_held_in_a_cycle_of_its_own_frames(*, of_task: bool) -> None:
    """What the error's frames hold, bodies of requests too, goes when the error goes."""

    class Marked(Exception):  # noqa: N818  # seen here only
        pass

    async def fail() -> None:
        raise Marked

    gc.collect()
    gc.disable()
    try:
        try:
            async with open_private_nursery() as nursery:
                if of_task:
                    nursery.start_soon(fail)
                else:
                    raise Marked
        except Marked as error:
            gone = weakref.ref(error)
        assert gone() is None
    finally:
        gc.enable()


async def _cancelled() -> trio.Cancelled:
    found: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            found.append(error)
            raise
    return found[0]


async def test_lone_error_leaves_cancellations_aside_in_whatever_depth() -> None:
    cancelled, error = await _cancelled(), ValueError()
    nested = BaseExceptionGroup("", [cancelled, BaseExceptionGroup("", [cancelled])])
    mixed = BaseExceptionGroup("", [error, cancelled])
    assert lone_error(BaseExceptionGroup("", [nested, error, cancelled])) is error
    assert lone_error(BaseExceptionGroup("", [nested])) is None
    assert lone_error(BaseExceptionGroup("", [mixed])) is mixed
    assert lone_error(ExceptionGroup("", [error, error])) is None
