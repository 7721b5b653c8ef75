"""Opens files for FFmpeg: what a person named and nothing else, by known demuxers, and ready for a signal.

FFmpeg itself opens no file here. It gets Python objects to read from, so no protocol is at work, no name has
a meaning (``frame%03d.png`` is one file), and a signal is answered between two reads. What a demuxer asks for
besides comes through `_Gate`, which knows the files of a playlist and refuses all others.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av

from vinpaint_cli.errors import VideoError, reason
from vinpaint_cli.video.source.damage import is_cut_short
from vinpaint_cli.video.source.playlist import is_playlist

if TYPE_CHECKING:
    from os import PathLike

    from av.container import InputContainer

_CONTAINERS = (
    "mov,mp4,matroska,webm,avi,asf,asf_o,flv,live_flv,kux,mpegts,mpegtsraw,mpeg,mpegvideo,mxf,gxf,nut,ogg,rm,"
    "wtv,dv,ivf,swf,nsv,nuv,yuv4mpegpipe,lxf,pva,ty,r3d,dhav,ifv,mods,moflex,xmv,vivo,vividas,thp,wc3movie,"
    "4xm,bink,smk,roq,flic,film_cpk,ea,vmd,idcin,cdxl,anm,rpl,mtv,mv,mvi,nc,gdv,dxa,rl2,siff,c93,avs,cine,"
    "wav,mp3,flac,aac"
)
_RAW = (
    "h264,hevc,vvc,evc,av1,obu,m4v,h261,h263,vc1,vc1test,dirac,cavsvideo,avs2,avs3,dnxhd,apv,mjpeg,"
    "mjpeg_2000,mpjpeg,smjpeg,ingenient"
)
_PICTURES = (
    "gif,apng,ico,jpegxl_anim,bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,gem_pipe,gif_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,"
    "jpegls_pipe,jpegxl_pipe,jpegxs_pipe,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,pgm_pipe,pgmyuv_pipe,pgx_pipe,"
    "phm_pipe,png_pipe,ppm_pipe,psd_pipe,qdraw_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,tiff_pipe,webp_pipe,xbm_pipe,"
    "xpm_pipe,xwd_pipe"
)
DEMUXERS = f"{_CONTAINERS},{_RAW},{_PICTURES}"
"""Those that may read a clip: each holds pictures and reads nothing but its own file."""
_OF_PLAYLISTS = "hls,concat"


@contextmanager
def open_input(path: str | PathLike[str], others: Collection[str] = ()) -> Iterator[InputContainer]:
    """An open container; FFmpeg's reasons for refusing a file become one line.

    others: absolute names of the files that a playlist consists of, see `playlist.files_of`; without them a
    playlist is refused.

    Raises:
        VideoError: the file is missing, unreadable, no file at all, or not a video.

    """
    with _reading(path) as file:
        if others:
            file.name = os.path.abspath(path)  # which the names in a playlist are relative to
        elif is_playlist(Path(path)):
            raise VideoError(
                f"{path}: a playlist, which names other files; --allow-playlists reads those that lie beside "
                "or below it"
            )
        gate = _Gate(others)
        try:
            container = _opened(path, file, gate)
            file.check()
            with container:
                yield container
        finally:
            gate.close()
            file.check()


def _opened(path: str | PathLike[str], file: _File, gate: _Gate) -> InputContainer:
    whitelist = f"{DEMUXERS},{_OF_PLAYLISTS}" if gate.allowed else DEMUXERS
    try:
        return av.open(
            file,
            "r",
            metadata_errors="surrogateescape",
            container_options={"format_whitelist": whitelist, "protocol_whitelist": "file"},
            io_open=gate,
        )
    except (av.FFmpegError, OSError) as exc:
        file.check()
        if is_cut_short(Path(path)):
            raise VideoError(
                f"{path}: the file is cut short and cannot be read without its end; copy it again"
            ) from exc
        raise VideoError(
            f"{path}: not a video that can be read, or its header is damaged ({reason(exc)}); "
            "give a video file or a folder of png or jpg pictures"
        ) from exc


class _File:
    """A file as PyAV reads it; ``name`` tells a demuxer its suffix.

    What is raised while FFmpeg waits for a read, such as KeyboardInterrupt, cannot pass through it: the file
    seems to end there, and `check` raises it afterwards. ``read`` belongs to a generator since a signal that
    waits is answered when Python code is entered: in a function before its ``try``, in a generator inside.
    """

    def __init__(self, raw: io.FileIO, name: str) -> None:
        self.name = name
        self.seek, self.tell, self.close = raw.seek, raw.tell, raw.close
        self._raw = raw
        self._error: BaseException | None = None
        pieces = self._pieces()
        next(pieces)
        self.read = pieces.send

    def check(self) -> None:
        """Raise what came while FFmpeg was reading."""
        if self._error is not None:
            raise self._error

    def _pieces(self) -> Generator[bytes, int, None]:
        piece = b""
        while True:
            try:
                while True:
                    size = yield piece
                    piece = b"" if self._error is not None else self._raw.read(size)
            except GeneratorExit:
                raise
            except BaseException as exc:
                self._error, piece = exc, b""


class _Gate:
    """What opens further files for a demuxer: those that are ``allowed``, for reading."""

    def __init__(self, allowed: Collection[str]) -> None:
        self.allowed = allowed
        self._files: list[_File] = []

    def __call__(self, url: str, flags: int, options: dict[str, str]) -> _File:
        path = os.path.abspath(url.removeprefix("file:"))
        if flags != 1 or path not in self.allowed:
            raise PermissionError(f"{url} is no part of the clip")
        file = _File(io.FileIO(path), path)
        self._files.append(file)
        return file

    def close(self) -> None:
        """Close what was opened, and raise what came while FFmpeg was reading there."""
        for file in self._files:
            file.close()
        for file in self._files:
            file.check()


@contextmanager
def _reading(path: str | PathLike[str]) -> Iterator[_File]:
    """The file, open for PyAV."""
    suffix = Path(path).suffix
    # A picture is told by its content: by its suffix it would be the first of a numbered sequence.
    hidden = suffix.lower() in (".jpg", ".jpeg") or not suffix[1:].isalnum()
    name = "clip" if hidden else f"clip{suffix}"
    try:
        raw = io.FileIO(path)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise VideoError(
            f"{path}: no such file; give a video file or a folder of png or jpg pictures"
        ) from exc
    except PermissionError as exc:
        raise VideoError(f"{path}: permission denied; make the file readable") from exc
    except (OSError, ValueError) as exc:
        raise VideoError(f"{path}: cannot be read ({reason(exc)}); give a video file") from exc
    with raw:
        yield _File(raw, name)
