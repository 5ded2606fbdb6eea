"""The rows that test the claims, declared before a run: by notebook, and by a short name that the notebook uses."""

from __future__ import annotations

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
            threshold="largest_difference",
            better="lower",
            primary=True,
        ),
        "fitted filter": Declared(
            claim="C2",
            statement="The filter is a learned continuous function, trained end to end",
            quantity="error of a filter fitted back from its outputs",
            unit="%",
            threshold="largest_filter_error_percent",
            better="lower",
        ),
        "classical resizing": Declared(
            claim="C3",
            statement="It resizes to any size; scales may be non-integer and differ between the axes",
            quantity="largest difference from anti-aliased bicubic resizing, float64",
            unit="",
            threshold="largest_difference",
            better="lower",
        ),
    },
    "02-misalignment": {
        "strided conv": Declared(
            claim="C7",
            statement="Conv layers suffer from inherent misalignments",
            quantity="mean displacement of a strided conv, kernel 4, three halvings",
            unit="input px",
            threshold="misaligned_mean_px",
            better="higher",
        ),
        "cc, mean": Declared(
            claim="C7",
            statement="CC layers ameliorate misalignments",
            quantity="mean displacement of CC, kernel 4, three halvings",
            unit="input px",
            threshold="aligned_mean_px",
            better="lower",
            primary=True,
        ),
        "cc, worst": Declared(
            claim="C7",
            statement="CC layers ameliorate misalignments",
            quantity="worst displacement of CC, kernel 4, three halvings",
            unit="input px",
            threshold="aligned_worst_px",
            better="lower",
        ),
        "cc, scaling up": Declared(
            claim="C7",
            statement="CC layers are aligned when they scale up, too",
            quantity="mean displacement of CC, kernel 4, three doublings",
            unit="input px",
            threshold="aligned_mean_px",
            better="lower",
        ),
    },
    "03-drop-in": {
        "cc": Declared(
            claim="C2",
            statement="A CC layer in place of every convolution costs at most {margin_points:g} point of accuracy",
            quantity="test accuracy, cc minus conv",
            unit="points",
            threshold="-margin_points",
            better="higher",
            primary=True,
        ),
        "cc without window": Declared(
            claim="C2",
            statement="A CC layer without its window in place of every convolution costs at most {margin_points:g} "
            "point of accuracy",
            quantity="test accuracy, cc without window minus conv",
            unit="points",
            threshold="-margin_points",
            better="higher",
        ),
        "other filter": Declared(
            claim="C2",
            statement="A CC layer with the filter {kind} in place of every convolution costs at most {margin_points:g} "
            "point of accuracy",
            quantity="test accuracy, cc, {kind} minus conv",
            unit="points",
            threshold="-margin_points",
            better="higher",
            repeated=True,
        ),
    },
    "04-gradual": {
        **{
            name: Declared(
                claim="C6",
                statement="At equal cost, shrinking gradually is worth {gain_points:g} points of accuracy",
                quantity=f"test accuracy, cc gradual minus {name}",
                unit="points",
                threshold="gain_points",
                better="higher",
            )
            for name in ("cc abrupt", "conv abrupt", "conv + resize", "conv + blur")
        },
        **{
            f"{name}, all widths": Declared(
                claim="C6",
                statement="At equal cost, shrinking gradually is worth {gain_points:g} points of accuracy",
                quantity=f"test accuracy, mean of {{widths}} widths, cc gradual minus {name}",
                unit="points",
                threshold="gain_points",
                better="higher",
                primary=name == "conv abrupt",
            )
            for name in ("cc abrupt", "conv abrupt")
        },
    },
    "05-dynamic-shapes": {
        **{
            f"price, {kind}": Declared(
                claim="C5",
                statement="Training for all sizes costs at most {price_points:g} point at the nominal ones",
                quantity=f"test accuracy at nominal sizes, batch norm {kind}, cc minus cc trained at one schedule",
                unit="points",
                threshold="-price_points",
                better="higher",
            )
            for kind in ("as trained", "re-estimated")
        },
        "one schedule": Declared(
            claim="C5",
            statement="Any size can be chosen once trained, whatever the training",
            quantity="accuracy over {others} other schedules, cc trained at one schedule minus cc trained at many",
            unit="points",
            threshold="-price_points",
            better="higher",
            primary=True,
        ),
        **{
            f"compute, {name}": Declared(
                claim="C5",
                statement="Accuracy can be traded for compute at inference",
                quantity=f"accuracy at equal multiply-adds, mean over schedules, cc minus {opponent}",
                unit="points",
                threshold="gain_points",
                better="higher",
            )
            for name, opponent in _TRAINED_AT.items()
        },
        **{
            f"inputs, {name}": Declared(
                claim="C5",
                statement="One network serves inputs of many sizes",
                quantity=f"accuracy over inputs of other sizes, feature maps fixed, cc minus {opponent}",
                unit="points",
                threshold="gain_points",
                better="higher",
            )
            for name, opponent in _TRAINED_AT.items()
        },
        "one for each size": Declared(
            claim="C5",
            statement="One network is within {price_points:g} point of networks trained for one input size each",
            quantity="accuracy at inputs of {sides} px, maps fixed, cc minus a conv for each",
            unit="points",
            threshold="-price_points",
            better="higher",
        ),
    },
    "06-scale-ensembles": {
        "mean member": Declared(
            claim="C9",
            statement="Averaging beats the mean member, as it nearly always does",
            quantity="test accuracy, {members} schedules averaged minus their mean",
            unit="points",
            threshold="gain_points",
            better="higher",
        ),
        "nominal": Declared(
            claim="C9",
            statement="Several schedules of one network are an ensemble for free",
            quantity="test accuracy, {members} schedules averaged minus the nominal schedule",
            unit="points",
            threshold="gain_points",
            better="higher",
            primary=True,
        ),
        "picked": Declared(
            claim="C9",
            statement="Several schedules of one network are an ensemble for free",
            quantity="test accuracy, {members} schedules averaged minus the schedule picked on validation",
            unit="points",
            threshold="gain_points",
            better="higher",
        ),
        **{
            f"gain, {name}": Declared(
                claim="C9",
                statement="An ensemble of schedules is better than what others can do",
                quantity=f"gain of averaging schedules of cc minus gain of averaging {averaged}",
                unit="points",
                threshold="gain_points",
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
                threshold="gain_points",
                better="higher",
            )
            for name, averaged in _AVERAGED.items()
        },
        "independent": Declared(
            claim="C9",
            statement="An ensemble of schedules is better than what others can do",
            quantity="test accuracy, cc ensemble minus as many conv networks trained independently",
            unit="points",
            threshold="gain_points",
            better="higher",
        ),
    },
    "07-shift-equivariance": {
        "whole": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by whole pixels answers as before",
            quantity="largest relative change of the logits after whole pixels, cc, shift known (float64)",
            unit="",
            threshold="rounding",
            better="lower",
        ),
        "fraction": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel answers nearly as before",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc, shift known",
            unit="%",
            threshold="small_change_percent",
            better="lower",
            primary=True,
        ),
        "fraction, trained with moves": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel answers nearly as before",
            quantity="change of the logits at a cut-off of {cut_off:g} cycles per pixel, cc, shift "
            "known, trained with moves",
            unit="%",
            threshold="small_change_percent",
            better="lower",
        ),
        "change over blur": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel changes its answer less than others do",
            quantity="change of the logits, cc, shift known, trained with moves, over conv + blur, "
            "shift unknown, trained without",
            unit="",
            threshold="half",
            better="lower",
        ),
        "change over moving back": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel changes its answer less than others do",
            quantity="change of the logits, cc, shift known, trained with moves, over conv with the picture moved "
            "back, trained without",
            unit="",
            threshold="equal",
            better="lower",
        ),
        "change over moving back, trained with moves": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel changes its answer less than others do",
            quantity="change of the logits, cc, shift known, trained with moves, over conv with the "
            "picture moved back, "
            "trained with moves",
            unit="",
            threshold="equal",
            better="lower",
        ),
        "agreement, moved back": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel predicts more consistently than one whose "
            "picture is moved back",
            quantity="agreement, moves by any distance, cc, shift known, trained with moves, minus "
            "conv, shift known, trained without",
            unit="points",
            threshold="no_difference",
            better="higher",
        ),
        "agreement, moved back, trained with moves": Declared(
            claim="C8",
            statement=f"{_SHIFT_KNOWN} by a fraction of a pixel predicts more consistently than one whose "
            "picture is moved back",
            quantity="agreement, moves by any distance, cc, shift known, trained with moves, minus conv, shift known, "
            "trained with moves",
            unit="points",
            threshold="no_difference",
            better="higher",
        ),
        "agreement, any distance": Declared(
            claim="C8",
            statement=_SHIFT_UNKNOWN,
            quantity="agreement, moves by any distance, cc minus conv, shift unknown",
            unit="points",
            threshold="no_difference",
            better="higher",
        ),
        "agreement, whole pixels": Declared(
            claim="C8",
            statement=_SHIFT_UNKNOWN,
            quantity="agreement, moves by whole pixels, cc minus conv, shift unknown",
            unit="points",
            threshold="no_difference",
            better="higher",
        ),
        "change of probability": Declared(
            claim="C8",
            statement=_SHIFT_UNKNOWN,
            quantity="change of probability, moves by any distance, cc minus conv, shift unknown",
            unit="points",
            threshold="no_difference",
            better="lower",
        ),
        "agreement, blur": Declared(
            claim="C8",
            statement="A CC network is more consistent than BlurPool when pictures move",
            quantity="agreement, moves by any distance, cc minus conv + blur, shift unknown",
            unit="points",
            threshold="no_difference",
            better="higher",
        ),
    },
    "08-any-scale-kernel": {
        "over a discrete kernel": Declared(
            claim="C3",
            statement="A trained layer resizes to unseen, non-integer scales that differ between the axes",
            quantity="gain at unseen factors over a discrete kernel",
            unit="dB",
            threshold="gain_db",
            better="higher",
            primary=True,
        ),
        "over bilinear": Declared(
            claim="C3",
            statement="A trained layer resizes to unseen, non-integer scales that differ between the axes",
            quantity="gain at unseen factors over anti-aliased bilinear",
            unit="dB",
            threshold="gain_db",
            better="higher",
        ),
        "worst factor": Declared(
            claim="C4",
            statement="Resizing stays close to the right answer at every unseen scale",
            quantity="PSNR at the worst unseen factor",
            unit="dB",
            threshold="invisible_db",
            better="higher",
            primary=True,
        ),
        "stretched": Declared(
            claim="C4",
            statement="The principle is to let the filter widen with the factor",
            quantity="gain at unseen factors of W(sδ) over W(δ)",
            unit="dB",
            threshold="gain_db",
            better="higher",
        ),
    },
    "09-super-resolution": {
        "bicubic": Declared(
            claim="C10",
            statement="One network restores photographs at factors that it never saw",
            quantity="gain over bicubic at unseen factors",
            unit="dB",
            threshold="gain_db",
            better="higher",
        ),
        "bicubic, oblong": Declared(
            claim="C10",
            statement="One network restores photographs at factors that it never saw, another on each axis",
            quantity="gain over bicubic at unseen factors that differ",
            unit="dB",
            threshold="gain_db",
            better="higher",
        ),
        "lanczos": Declared(
            claim="C10",
            statement="One network restores photographs at factors that it never saw, also against a longer "
            "interpolation",
            quantity="gain over lanczos at unseen factors",
            unit="dB",
            threshold="gain_db",
            better="higher",
        ),
        "conv + resize": Declared(
            claim="C10",
            statement="A CC layer enlarges better than a resize and a convolution",
            quantity="gain over conv + resize at unseen factors",
            unit="dB",
            threshold="better_db",
            better="higher",
        ),
        "pixel shuffle + resize": Declared(
            claim="C10",
            statement="A CC layer enlarges better than a pixel shuffle and a resize",
            quantity="gain over pixel shuffle + resize at unseen factors",
            unit="dB",
            threshold="better_db",
            better="higher",
            primary=True,
        ),
        "pixel shuffle": Declared(
            claim="C10",
            statement="One network for all factors costs at most {price_db:g} dB at whole factors",
            quantity="PSNR at whole factors, cc minus a pixel shuffle for each",
            unit="dB",
            threshold="-price_db",
            better="higher",
        ),
    },
    "10-any-size-decoder": {
        "price, conv": Declared(
            claim="C10",
            statement="A decoder of CC layers costs no quality at the size it is trained at",
            quantity="PSNR at the trained size, cc minus conv",
            unit="dB",
            threshold="-price_db",
            better="higher",
        ),
        "price, conv + resize": Declared(
            claim="C10",
            statement="A decoder of CC layers costs no quality at the size it is trained at",
            quantity="PSNR at the trained size, cc minus conv + resize",
            unit="dB",
            threshold="-price_db",
            better="higher",
        ),
        "unseen sizes": Declared(
            claim="C10",
            statement="A decoder of CC layers generates at sizes and aspect ratios never trained",
            quantity="PSNR at unseen sizes, cc minus conv + resize",
            unit="dB",
            threshold="gain_db",
            better="higher",
        ),
        "asked, not resized": Declared(
            claim="C10",
            statement="Asking the decoder for a size is better than resizing its picture",
            quantity="PSNR at unseen sizes, cc asked minus its own picture resized",
            unit="dB",
            threshold="gain_db",
            better="higher",
        ),
        "one size": Declared(
            claim="C10",
            statement="A decoder of CC layers trained at one size can be asked for any other",
            quantity="PSNR at unseen sizes, cc trained at one size, asked minus its own picture resized",
            unit="dB",
            threshold="-price_db",
            better="higher",
        ),
        "consistency": Declared(
            claim="C10",
            statement="The decoder's pictures are consistent across sizes",
            quantity="consistency at larger sizes, cc minus conv + resize",
            unit="dB",
            threshold="consistency_db",
            better="higher",
        ),
        "checkerboard": Declared(
            claim="C10",
            statement="A decoder of CC layers leaves no checkerboard",
            quantity="strongest line in the spectrum of the error, cc",
            unit="dB",
            threshold="clean_db",
            better="lower",
        ),
        "checkerboard, unseen size": Declared(
            claim="C10",
            statement="A decoder of CC layers leaves no grid on pictures of a larger size, never trained",
            quantity="strongest line in the spectrum of the error at an unseen size, cc",
            unit="dB",
            threshold="clean_db",
            better="lower",
        ),
        "checkerboard, kernel 3": Declared(
            claim="C10",
            statement="A decoder of CC layers has less of a checkerboard than transposed convolutions",
            quantity="strongest line in the spectrum of the error, cc minus conv of kernel 3",
            unit="dB",
            threshold="-line_db",
            better="lower",
        ),
    },
    "11-efficiency": {
        "few phases": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="time over Conv2d's, geometric mean of {layers} layers with few phases",
            unit="",
            threshold="few_phases_ratio",
            better="lower",
            primary=True,
        ),
        "slowest": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="time over Conv2d's, slowest of them ({layer})",
            unit="",
            threshold="worst_ratio",
            better="lower",
        ),
        "irrational": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="time over Conv2d's at an irrational scale",
            unit="",
            threshold="irrational_ratio",
            better="lower",
        ),
        "memory": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="largest extra memory over input plus output, {layers} layers",
            unit="",
            threshold="extra_memory",
            better="lower",
        ),
        "choice": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="time of the picked implementation over the best one's, worst of {layers} layers",
            unit="",
            threshold="auto_loss",
            better="lower",
        ),
        "growth": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="exponent of time in {along}, {scale}",
            unit="",
            threshold="exponent",
            better="lower",
            repeated=True,
        ),
        "network": Declared(
            claim="C11",
            statement=_EFFICIENT,
            quantity="training time of a classifier over that with Conv2d",
            unit="",
            threshold="epoch_ratio",
            better="lower",
        ),
    },
}
