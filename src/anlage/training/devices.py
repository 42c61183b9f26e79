"""Devices and processes: where to compute, how many processes share a batch, and what they must agree on.

Several processes: ``torchrun --nproc-per-node 4 -m anlage fit …``. Each takes its share of every batch; losses are
divided by the count over all of them, so the steps are those of one process with the same batches.
"""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import Tensor, nn

from anlage.errors import AnlageError
from anlage.training.settings import TrainingSettings


def processes() -> int:
    """Processes that work on this run together (as torchrun says); 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def leads() -> bool:
    """Is this the process that speaks and writes?"""
    return rank() == 0


def wait_for_others() -> None:
    """Until every process has come this far."""
    if dist.is_initialized():
        dist.barrier()


def fabric(settings: TrainingSettings) -> Fabric:
    """Lightning Fabric, launched: one device, or this process's share of those that torchrun started."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise AnlageError("--device cuda: torch finds no GPU here; use --device auto")
    if settings.device == "mps" and not torch.backends.mps.is_available():
        raise AnlageError("--device mps: torch finds no Apple GPU here; use --device auto")
    if settings.shard and processes() == 1:
        raise AnlageError("--shard cuts the model over several processes: start it with torchrun")
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)  # it announces its precision on every start
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints about its own products
        made = Fabric(
            accelerator=settings.device,
            devices=here,
            num_nodes=processes() // here,
            strategy=_strategy(settings),
            precision=_precision(settings),  # type: ignore[arg-type]
        )
        made.launch()
    return made


def _strategy(settings: TrainingSettings) -> str | Strategy:

    if processes() == 1:
        return "auto"
    if settings.shard:
        return ModelParallelStrategy(parallelize_fn=_shard, data_parallel_size=processes(), tensor_parallel_size=1)
    return DDPStrategy(find_unused_parameters=True)  # a vector for a missing input may have no gradient in a batch


def _shard(model: nn.Module, mesh: object) -> nn.Module:
    """FSDP2: each block of each encoder is a unit of its own, what remains is one more."""
    from torch.distributed.fsdp import fully_shard

    for module in list(model.modules()):
        for block in getattr(module, "blocks", []):
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=mesh["data_parallel"])  # type: ignore[index]
    fully_shard(model, mesh=mesh["data_parallel"])  # type: ignore[index]
    return model


def _precision(settings: TrainingSettings) -> str:
    if settings.precision != "auto":
        return settings.precision
    fast = settings.device in ("auto", "cuda") and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bf16-mixed" if fast else "32-true"


def sums(fabric: Fabric, numbers: Sequence[float]) -> list[float]:
    """Each number summed over all processes."""
    if fabric.world_size == 1:
        return list(numbers)
    together = torch.tensor(numbers, dtype=torch.float64 if fabric.device.type == "cpu" else torch.float32)
    return torch.as_tensor(fabric.all_reduce(together.to(fabric.device), reduce_op="sum")).tolist()


def gathered(fabric: Fabric, rows: Tensor) -> Tensor:
    """[all rows, …] the rows of all processes, one process after the other; gradients flow back to their own rows."""
    if fabric.world_size == 1:
        return rows
    from torch.distributed.nn.functional import all_gather

    lengths = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(fabric.world_size)]
    dist.all_gather(lengths, torch.tensor([len(rows)], device=rows.device))
    longest = max(int(length) for length in lengths)
    padded = torch.cat((rows, rows.new_zeros(longest - len(rows), *rows.shape[1:])))
    pieces = all_gather(padded) if rows.requires_grad else _plain_gather(padded, fabric.world_size)
    return torch.cat([piece[: int(length)] for piece, length in zip(pieces, lengths, strict=True)])


def _plain_gather(rows: Tensor, world: int) -> list[Tensor]:
    pieces = [torch.empty_like(rows) for _ in range(world)]
    dist.all_gather(pieces, rows.contiguous())
    return pieces


def whole(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that are cut over processes, put together (all processes must call it); others as they are."""
    from torch.distributed.tensor import DTensor

    return {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in state.items()}


def cut_like(state: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`whole`: cut as ``model``'s tensors of the same names are."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    cut = {}
    for name, tensor in state.items():
        like = model[name]
        cut[name] = (
            distribute_tensor(tensor, like.device_mesh, like.placements) if isinstance(like, DTensor) else tensor
        )
    return cut
