"""One sentence for each refusal and warning: what is wrong and what to do about it."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

REFUSALS: Final[Mapping[str, Promise]] = {
    "archive": _("This is an archive of files. Unpack it and upload the images themselves."),
    "crashed": _(
        "This file could not be processed safely. Export the image again from the X-ray machine, "
        "and tell your administrator if it happens again."
    ),
    "damaged": _(
        "This file is damaged or incomplete. Export the image again from the X-ray machine and "
        "upload the new file."
    ),
    "empty_file": _("This file is empty. Copy or export the image again and upload the new file."),
    "film_not_found": _(
        "No film stands out in this photo. Photograph the whole film on a lit box, or mark its "
        "four corners by hand."
    ),
    "memory": _(
        "Opening this file would need too much memory. Export the image as plain DICOM or PNG."
    ),
    "no_pixel_data": _(
        "This DICOM file holds no picture, for example a report or a directory. Upload the image "
        "objects of the examination."
    ),
    "not_an_image": _(
        "This file is not an image. Upload the radiograph as DICOM, PNG, JPEG or TIFF."
    ),
    "pdf": _(
        "This is a PDF. Upload the radiograph itself as DICOM, PNG, JPEG or TIFF, not a printout."
    ),
    "photo_blurred": _(
        "This photo is blurred. Hold the camera still, tap the film to focus, and take it again."
    ),
    "photo_glare": _(
        "A reflection or light that is too bright hides a part of the film. Switch off lamps "
        "behind you, or move a little aside, and take the photo again."
    ),
    "photo_tilted": _(
        "The film was photographed too much from the side. Hold the camera straight in front of it."
    ),
    "photo_too_dark": _(
        "This photo is too dark. Switch the light box on and take the photo again."
    ),
    "photo_too_small": _(
        "The film is too small in this photo. Move closer until it fills the frame."
    ),
    "svg_or_html": _(
        "This is a web page or a drawing. Upload the radiograph as DICOM, PNG, JPEG or TIFF."
    ),
    "timeout": _(
        "Reading this file took too long. Export the image again, as plain DICOM or PNG if you can."
    ),
    "too_large": _("This file is too large. Export this one image in its normal size."),
    "too_many_frames": _(
        "This file holds too many pictures. Export the ones you need as separate files."
    ),
    "too_many_pixels": _(
        "This picture is larger than any radiograph. Export the image in its normal size."
    ),
    "too_small": _(
        "This picture is too small to show a fracture. Upload the original, not a thumbnail."
    ),
    "unsupported_kind": _(
        "This kind of file cannot be read. Export the radiograph as DICOM, PNG, JPEG or TIFF."
    ),
    "unsupported_transfer_syntax": _(
        "This DICOM file is compressed in a way that cannot be read. Export it uncompressed or "
        "with JPEG Lossless, JPEG-LS, JPEG 2000 or RLE."
    ),
}

WARNINGS: Final[Mapping[str, Promise]] = {
    "animation_first_frame": _("This file is an animation; only its first picture is used."),
    "for_processing": _(
        "This is raw detector data, not the processed picture. It may look unusual; upload the "
        "processed image if there is one."
    ),
    "pages_skipped": _("Pages of another size than the first, such as previews, were left out."),
    "photo_of_film": _("This is a photo of a film, straightened. Its results are of lower trust."),
    "transparency_flattened": _("Transparent parts of this picture are shown in black."),
    "truncated_file": _(
        "The end of this file is missing; the missing part of the picture is black. Export the "
        "image again if you can."
    ),
    "window_ignored": _(
        "The brightness setting stored in this file does not fit its picture and is not used."
    ),
}
