"""The rows that test the claims, declared before a run: by notebook, and by a short name that the notebook uses."""

from __future__ import annotations

from typing import Any

from companion.evidence.registry import Declared

# The opponents of notebooks 05 and 06, by their names, in the words of a quantity.
_TRAINED_AT = {
    "conv": "conv trained at one size",
    "conv, many sizes": "conv trained at many sizes",
    "conv + resize, many sizes": "conv + resize trained at many sizes",
}
_AVERAGED = {
    "conv, many sizes": "inputs of conv trained at many sizes",
    "conv + resize, many sizes": "schedules of conv + resize trained at many sizes",
}

# Of a gain in accuracy at equal multiply-adds.
_WORTH: dict[str, Any] = {
    "threshold": "gain_points",
    "reason": "less would not make up for arithmetic that is slower than a convolution's",
    "difference": True,
}

_SHIFT_KNOWN = "A network that knows how far a picture moved"
_SHIFT_UNKNOWN = "A CC network is more consistent than a strided one when pictures move"
_EFFICIENT = "It can be computed efficiently"

# By notebook and by a short name, which the notebook uses.
ROWS: dict[str, dict[str, Declared]] = {
    "01-cc-layer": {
        "special cases": Declared(
            claim="C1",
            statement="Strided, transposed and plain convolutions are special cases",
            quantity="largest difference from Conv2d and ConvTranspose2d, float64",
            unit="",
            better="lower",
            threshold="largest_difference",
            reason="rounding in double precision leaves about 1e-15, and any real difference far more",
        ),
        "fitted filter": Declared(
            claim="C2",
            statement="The filter is a learned continuous function, trained end to end",
            quantity="error of a filter fitted back from its outputs",
            unit="%",
            better="lower",
        ),
        "classical resizing": Declared(
            claim="C3",
            statement="It resizes to any size; scales may be non-integer and differ between the axes",
            quantity="largest difference from anti-aliased bicubic resizing, float64",
            unit="",
            better="lower",
        ),
    },
    "02-misalignment": {
        "strided conv": Declared(
            claim="C7",
            statement="Conv layers suffer from inherent misalignments",
            quantity="mean displacement of a strided conv, kernel 4, three halvings",
            unit="input px",
            better="higher",
            threshold="misaligned_mean_px",
            reason="a whole pixel is visible in every overlay",
        ),
        "cc, mean": Declared(
            claim="C7",
            statement="CC layers ameliorate misalignments",
            quantity="mean displacement of CC, kernel 4, three halvings",
            unit="input px",
            better="lower",
            threshold="aligned_mean_px",
            reason="a quarter of a pixel is hard to see in any overlay",
        ),
        "cc without window": Declared(
            claim="C7",
            statement="A CC layer needs its window to be aligned",
            quantity="mean displacement of CC without window, kernel 4, three halvings",
            unit="input px",
            better="lower",
        ),
        "cc, worst": Declared(
            claim="C7",
            statement="CC layers ameliorate misalignments",
            quantity="worst displacement of CC, kernel 4, three halvings",
            unit="input px",
            better="lower",
        ),
    },
    "03-drop-in": {
        "cc": Declared(
            claim="C2",
            statement="A CC layer in place of every convolution costs at most {margin_points:g} point of accuracy",
            quantity="test accuracy, cc minus conv",
            unit="points",
            better="higher",
            threshold="-margin_points",
            reason="one more layer, or a few more epochs, gain about as much",
        ),
        "cc without window": Declared(
            claim="C2",
            statement="What a CC layer without its window costs in place of every convolution",
            quantity="test accuracy, cc without window minus conv",
            unit="points",
            better="higher",
        ),
        "other filter": Declared(
            claim="C2",
            statement="What a CC layer with the filter {kind} costs in place of every convolution",
            quantity="test accuracy, cc, {kind} minus conv",
            unit="points",
            better="higher",
            repeated=True,
        ),
    },
    "04-gradual": {
        **{
            name: Declared(
                claim="C6",
                statement="What shrinking gradually is worth at equal cost",
                quantity=f"test accuracy, cc gradual minus {name}",
                unit="points",
                better="higher",
            )
            for name in ("cc abrupt", "conv abrupt", "conv + resize", "conv + blur")
        },
        "cc gradual, boxes": Declared(
            claim="C6",
            statement="What filters free to take any shape are worth beside mixtures of boxes",
            quantity="test accuracy, cc gradual minus cc gradual with filters of boxes",
            unit="points",
            better="higher",
        ),
        "conv, same time": Declared(
            claim="C6",
            statement="What shrinking gradually is worth at about equal time",
            quantity="test accuracy, cc gradual minus conv abrupt that takes as long",
            unit="points",
            better="higher",
        ),
        **{
            f"{name}, all widths": Declared(
                claim="C6",
                statement="At equal cost, shrinking gradually is worth {gain_points:g} points of accuracy"
                if name == "conv abrupt"
                else "What shrinking gradually is worth at equal cost",
                quantity=f"test accuracy, mean of {{widths}} widths, cc gradual minus {name}",
                unit="points",
                better="higher",
                **(_WORTH if name == "conv abrupt" else {}),
            )
            for name in ("cc abrupt", "conv abrupt")
        },
    },
    "05-dynamic-shapes": {
        **{
            f"price, {kind}": Declared(
                claim="C5",
                statement="What training for all sizes costs at the nominal ones",
                quantity=f"test accuracy at nominal sizes, batch norm {kind}, cc minus cc trained at one schedule",
                unit="points",
                better="higher",
            )
            for kind in ("as trained", "re-estimated")
        },
        "one schedule": Declared(
            claim="C5",
            statement="Any size can be chosen once trained, even if trained at one schedule",
            quantity="accuracy over {others} other schedules, cc with filters of B-splines trained at one schedule, "
            "read in picture coordinates, minus cc trained at many",
            unit="points",
            better="higher",
            threshold="-price_points",
            reason="one more layer, or a few more epochs, gain about as much",
        ),
        "one schedule, larger maps": Declared(
            claim="C5",
            statement="The same at the schedules whose maps are larger than at the one trained at",
            quantity="accuracy over {larger} schedules of larger maps, cc with filters of B-splines trained at one "
            "schedule minus cc trained at many, both read in picture coordinates",
            unit="points",
            better="higher",
        ),
        "one schedule, smaller maps": Declared(
            claim="C5",
            statement="The same at the schedules whose maps are smaller than at the one trained at",
            quantity="accuracy over {smaller} schedules of smaller maps, cc with filters of B-splines trained at one "
            "schedule minus cc trained at many, both read in picture coordinates",
            unit="points",
            better="higher",
        ),
        "one schedule, free filter": Declared(
            claim="C5",
            statement="The same with filters that are free between the offsets of the schedule trained at",
            quantity="accuracy over {others} other schedules, cc trained at one schedule, filters read in picture "
            "coordinates, minus cc trained at many",
            unit="points",
            better="higher",
        ),
        "B-spline, one schedule": Declared(
            claim="C5",
            statement="Filters of B-splines lose less at sizes that training never saw",
            quantity="accuracy over {others} other schedules, trained at one schedule, picture coordinates, cc with "
            "filters of B-splines minus cc",
            unit="points",
            better="higher",
        ),
        "B-spline, as wide a filter": Declared(
            claim="C5",
            statement="What B-splines are worth there beside free filters of the same support",
            quantity="accuracy over {others} other schedules, trained at one schedule, picture coordinates, cc with "
            "filters of B-splines minus cc with free filters of the same support",
            unit="points",
            better="higher",
        ),
        "B-spline, nominal": Declared(
            claim="C5",
            statement="What filters of B-splines cost at the sizes trained at",
            quantity="test accuracy at nominal sizes, trained at one schedule, cc with filters of B-splines minus cc",
            unit="points",
            better="higher",
        ),
        "one schedule, pixels": Declared(
            claim="C5",
            statement="The same with free filters read in pixels",
            quantity="accuracy over {others} other schedules, cc trained at one schedule minus cc trained at many",
            unit="points",
            better="higher",
        ),
        **{
            f"picture, {kind}": Declared(
                claim="C5",
                statement="A filter in picture coordinates keeps its meaning at other sizes",
                quantity=f"accuracy over {{others}} other schedules, cc trained at {kind}, filters read in picture "
                "coordinates minus in pixels",
                unit="points",
                better="higher",
            )
            for kind in ("one schedule", "many sizes")
        },
        "partition of unity, one schedule": Declared(
            claim="C5",
            statement="Taps whose sum does not change with the sub-pixel phase help at sizes that training never saw",
            quantity="accuracy over {others} other schedules, cc trained at one schedule, filters read in picture "
            "coordinates, with its first filter made a partition of unity minus without",
            unit="points",
            better="higher",
        ),
        **{
            f"finer image, {kind}": Declared(
                claim="C5",
                statement="A layer gives the same for a picture at twice the resolution",
                quantity=f"agreement of an untrained layer's outputs, filter read in {kind}",
                unit="dB",
                better="higher",
            )
            for kind in ("picture coordinates", "pixels")
        },
        **{
            f"compute, {name}": Declared(
                claim="C5",
                statement="Trained at many sizes, a network trades accuracy for compute better than by its input",
                quantity=f"accuracy at equal multiply-adds, mean over schedules, cc minus {opponent}",
                unit="points",
                better="higher",
                **(_WORTH if name == "conv, many sizes" else {}),
            )
            for name, opponent in _TRAINED_AT.items()
        },
        **{
            f"inputs, {name}": Declared(
                claim="C5",
                statement="One network serves inputs of many sizes",
                quantity=f"accuracy over inputs of other sizes, feature maps fixed, cc minus {opponent}",
                unit="points",
                better="higher",
            )
            for name, opponent in _TRAINED_AT.items()
        },
        "inputs, resized back": Declared(
            claim="C5",
            statement="One network serves inputs of many sizes better than one whose inputs are resized to its own",
            quantity="accuracy over inputs of other sizes, feature maps fixed, cc minus conv trained at one size, the "
            "input resized to it",
            unit="points",
            better="higher",
        ),
        "one for each size": Declared(
            claim="C5",
            statement="What one network for all sizes costs beside networks trained for one input size each",
            quantity="accuracy at inputs of {sides} px, maps fixed, cc minus a conv for each",
            unit="points",
            better="higher",
        ),
    },
    "06-scale-ensembles": {
        "mean member": Declared(
            claim="C9",
            statement="Averaging beats the mean member, as it nearly always does",
            quantity="test accuracy, {members} schedules averaged minus their mean",
            unit="points",
            better="higher",
        ),
        "nominal": Declared(
            claim="C9",
            statement="Several schedules of one network are an ensemble for free",
            quantity="test accuracy, {members} schedules averaged minus the nominal schedule",
            unit="points",
            better="higher",
            threshold="gain_points",
            reason="an ensemble that costs several runs should gain at least what a little more training would",
            difference=True,
        ),
        **{
            f"gain, {name}": Declared(
                claim="C9",
                statement="An ensemble of schedules is better than what others can do",
                quantity=f"gain of averaging schedules of cc minus gain of averaging {averaged}",
                unit="points",
                better="higher",
            )
            for name, averaged in _AVERAGED.items()
        },
        **{
            f"accuracy, {name}": Declared(
                claim="C9",
                statement="An ensemble of schedules is better than what others can do",
                quantity=f"test accuracy, cc ensemble minus {averaged}, averaged",
                unit="points",
                better="higher",
            )
            for name, averaged in _AVERAGED.items()
        },
        "independent": Declared(
            claim="C9",
            statement="An ensemble of schedules is better than what others can do",
            quantity="test accuracy, cc ensemble minus as many conv networks trained independently",
            unit="points",
            better="higher",
        ),
    },
    "07-shift-equivariance": {
        "whole": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by whole pixels answers as before",
            quantity="largest relative change of the logits after whole pixels, cc, trained with moves or without, "
            "with filters of B-splines or free ones, shift known (float64)",
            unit="",
            better="lower",
        ),
        "fraction": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel answers nearly as before",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc, shift known",
            unit="%",
            better="lower",
        ),
        "fraction, trained with moves": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel answers nearly as before",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc, shift "
            "known, trained with moves",
            unit="%",
            better="lower",
        ),
        **{
            f"fraction, B-spline{training}": Declared(
                claim="C8",
                statement=f"{_SHIFT_KNOWN} by a fraction of a pixel answers nearly as before",
                quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc with filters of "
                f"B-splines, shift known{training}",
                unit="%",
                better="lower",
            )
            for training in ("", ", trained with moves")
        },
        "fraction, partition of unity": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel answers nearly as before",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc, shift "
            "known, trained with moves, its first filter then made a partition of unity",
            unit="%",
            better="lower",
        ),
        "change over blur": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel changes its answer less than others do",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc, shift known, trained with "
            "moves, over conv + blur, shift unknown, trained without",
            unit="",
            better="lower",
        ),
        "change over moving back": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel changes its answer less than others do",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc, shift known, trained with "
            "moves, over conv with the picture moved back, trained without",
            unit="",
            better="lower",
        ),
        "change over moving back, trained with moves": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel changes its answer less than others do",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc, shift known, trained with "
            "moves, over conv with the picture moved back, trained with moves",
            unit="",
            better="lower",
        ),
        "change over moving back, B-spline": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel changes its answer less than others do",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc with filters of B-splines, "
            "shift known, trained with moves, over conv with the picture moved back, trained with moves",
            unit="",
            better="lower",
            threshold="equal",
            reason="whoever knows the move can as well move the picture back",
        ),
        "change over moving back, B-spline, all detail": Declared(
            claim="C8",
            statement="The same for pictures with all the detail that pixels can hold",
            quantity="change of the logits without a cut-off, cc with filters of B-splines, shift known, trained with "
            "moves, over conv with the picture moved back, trained with moves",
            unit="",
            better="lower",
        ),
        "change over moving back by B-splines": Declared(
            claim="C8",
            statement="The same beside a picture moved back by the same B-splines, which blur it wherever it lies",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc with filters of B-splines, "
            "shift known, trained with moves, over conv with the picture moved back by B-splines, trained with moves",
            unit="",
            better="lower",
        ),
        "change over as wide a filter": Declared(
            claim="C8",
            statement="It is the B-splines, and not the wider support, that change the answer less",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, shift known, trained with "
            "moves, cc with filters of B-splines over cc with free filters of the same support",
            unit="",
            better="lower",
        ),
        "agreement, moved back": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel predicts more consistently than one whose "
            "picture is moved back",
            quantity="agreement, moves by any distance, cc, shift known, trained with moves, minus "
            "conv, shift known, trained without",
            unit="points",
            better="higher",
        ),
        "agreement, moved back, trained with moves": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel predicts more consistently than one whose "
            "picture is moved back",
            quantity="agreement, moves by any distance, cc, shift known, trained with moves, minus conv, shift known, "
            "trained with moves",
            unit="points",
            better="higher",
        ),
        "agreement, moved back, B-spline": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel predicts more consistently than one whose "
            "picture is moved back",
            quantity="agreement, moves by any distance, cc with filters of B-splines, shift known, trained with moves, "
            "minus conv, shift known, trained with moves",
            unit="points",
            better="higher",
        ),
        "accuracy, B-spline": Declared(
            claim="C8",
            statement="What filters of B-splines cost where nothing moves",
            quantity="accuracy on pictures that have not moved, trained with moves, shift known, cc with filters of "
            "B-splines minus cc",
            unit="points",
            better="higher",
        ),
        "agreement, any distance": Declared(
            claim="C8",
            statement=_SHIFT_UNKNOWN,
            quantity="agreement, moves by any distance, cc minus conv, shift unknown",
            unit="points",
            better="higher",
            threshold="gain_points",
            reason="less than one prediction in a hundred would hardly be noticed",
            difference=True,
        ),
        "agreement, whole pixels": Declared(
            claim="C8",
            statement=_SHIFT_UNKNOWN,
            quantity="agreement, moves by whole pixels, cc minus conv, shift unknown",
            unit="points",
            better="higher",
        ),
        "change of probability": Declared(
            claim="C8",
            statement=_SHIFT_UNKNOWN,
            quantity="change of probability, moves by any distance, cc minus conv, shift unknown",
            unit="points",
            better="lower",
        ),
        "agreement, blur": Declared(
            claim="C8",
            statement="A CC network is more consistent than BlurPool when pictures move",
            quantity="agreement, moves by any distance, cc minus conv + blur, shift unknown",
            unit="points",
            better="higher",
        ),
    },
    "08-any-scale-kernel": {
        "over a discrete kernel": Declared(
            claim="C3",
            statement="A trained layer resizes to unseen, non-integer scales that differ between the axes",
            quantity="gain at unseen factors over a discrete kernel",
            unit="dB",
            better="higher",
            threshold="gain_db",
            reason="6 dB halve the error",
        ),
        "worst factor": Declared(
            claim="C4",
            statement="Resizing stays close to the right answer at every unseen scale",
            quantity="PSNR at the worst unseen factor",
            unit="dB",
            better="higher",
            threshold="invisible_db",
            reason="at 40 dB the difference of two pictures becomes invisible",
        ),
        "stretched": Declared(
            claim="C4",
            statement="The principle is to let the filter widen with the factor",
            quantity="gain at unseen factors of W(sδ) over W(δ)",
            unit="dB",
            better="higher",
        ),
    },
    "09-super-resolution": {
        "bicubic": Declared(
            claim="C10",
            statement="One network restores photographs at factors that it never saw",
            quantity="gain over bicubic at unseen factors",
            unit="dB",
            better="higher",
        ),
        "bicubic, oblong": Declared(
            claim="C10",
            statement="One network restores photographs at factors that it never saw, another on each axis",
            quantity="gain over bicubic at unseen factors that differ",
            unit="dB",
            better="higher",
        ),
        "lanczos": Declared(
            claim="C10",
            statement="One network restores photographs at factors that it never saw, also against a longer "
            "interpolation",
            quantity="gain over lanczos at unseen factors",
            unit="dB",
            better="higher",
        ),
        "conv + resize": Declared(
            claim="C10",
            statement="A CC layer enlarges better than a resize and a convolution",
            quantity="gain over conv + resize at unseen factors",
            unit="dB",
            better="higher",
        ),
        "pixel shuffle + resize": Declared(
            claim="C10",
            statement="A CC layer enlarges better than a pixel shuffle and a resize",
            quantity="gain over pixel shuffle + resize at unseen factors",
            unit="dB",
            better="higher",
            threshold="better_db",
            reason="nobody sees less than a tenth of a decibel",
            difference=True,
        ),
        "pixel shuffle + resize, photographs": Declared(
            claim="C10",
            statement="The same over other photographs instead of other seeds",
            quantity="gain over pixel shuffle + resize at unseen factors, over photographs, each a mean over seeds",
            unit="dB",
            better="higher",
        ),
        **{
            name: Declared(
                claim="C10",
                statement=f"A CC layer enlarges better than {name}",
                quantity=f"gain over {name} at unseen factors",
                unit="dB",
                better="higher",
            )
            for name in ("LIIF", "Meta-SR")
        },
        "pixel shuffle": Declared(
            claim="C10",
            statement="What one network for all factors costs at whole factors",
            quantity="PSNR at whole factors, cc minus a pixel shuffle for each",
            unit="dB",
            better="higher",
        ),
    },
    "10-any-size-decoder": {
        "price, conv": Declared(
            claim="C10",
            statement="A decoder of CC layers costs no quality at the size it is trained at",
            quantity="PSNR at the trained size, cc minus conv",
            unit="dB",
            better="higher",
        ),
        "price, conv, same sizes": Declared(
            claim="C10",
            statement="A decoder of CC layers costs no quality at the size it is trained at",
            quantity="PSNR at the trained size, cc with the sizes of conv minus conv",
            unit="dB",
            better="higher",
        ),
        "price, conv + resize": Declared(
            claim="C10",
            statement="A decoder of CC layers costs no quality at the size it is trained at",
            quantity="PSNR at the trained size, cc minus conv + resize",
            unit="dB",
            better="higher",
        ),
        "unseen sizes": Declared(
            claim="C10",
            statement="A decoder of CC layers generates at sizes and aspect ratios never trained",
            quantity="PSNR at unseen sizes, cc minus conv + resize",
            unit="dB",
            better="higher",
            threshold="gain_db",
            reason="nobody sees less than a tenth of a decibel",
            difference=True,
        ),
        "asked, not resized": Declared(
            claim="C10",
            statement="Asking the decoder for a size is better than resizing its picture",
            quantity="PSNR at unseen sizes, cc asked minus its own picture resized",
            unit="dB",
            better="higher",
        ),
        "one size": Declared(
            claim="C10",
            statement="A decoder of CC layers trained at one size can be asked for any other",
            quantity="PSNR at unseen sizes, cc trained at one size, asked minus its own picture resized",
            unit="dB",
            better="higher",
        ),
        "consistency": Declared(
            claim="C10",
            statement="The decoder's pictures are consistent across sizes",
            quantity="consistency at larger sizes, cc minus conv + resize",
            unit="dB",
            better="higher",
        ),
    },
    "11-efficiency": {
        "few phases": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="time over Conv2d's, geometric mean of {layers} layers with few phases",
            unit="",
            better="lower",
            threshold="few_phases_ratio",
            reason="a layer that takes more than half as long again as a convolution would be used for its sizes alone",
        ),
        "slowest": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="time over Conv2d's, slowest of them ({layer})",
            unit="",
            better="lower",
        ),
        "irrational": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="time over Conv2d's at an irrational scale",
            unit="",
            better="lower",
        ),
        "memory": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="largest extra memory over input plus output, {layers} layers",
            unit="",
            better="lower",
        ),
        "choice": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="time of the picked implementation over the best one's, worst of {layers} layers",
            unit="",
            better="lower",
        ),
        "network": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="training time of a classifier over that with Conv2d",
            unit="",
            better="lower",
        ),
    },
}

PRIMARY = sum(declared.primary for rows in ROWS.values() for declared in rows.values())  # the number of primary rows
