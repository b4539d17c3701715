"""Regions and contours as documents: IVOA's MOC in JSON, and GeoJSON (RFC 7946) on the sky."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel

Position = Annotated[list[float], Field(min_length=2, max_length=2, description="Right ascension, declination.")]


class CoverageMap(RootModel[dict[str, list[int]]]):
    """A region as cells of HEALPix (NESTED): the numbers of the cells by their order."""


class ContourProperties(BaseModel):
    """What a contour is."""

    credible_level: float = Field(description="Probability inside.")
    area_deg2: float = Field(description="Area inside, square degrees.")


class OutlineProperties(ContourProperties):
    """What a contour is, and whose."""

    trigger: str = Field(description="Id of the trigger.")
    messenger: str = Field(description="What carried its news.")


class Lines(BaseModel):
    """Lines on the sky."""

    type: Literal["MultiLineString"] = Field(description="GeoJSON's name of it.")
    coordinates: list[list[Position]] = Field(
        description="Points of each line, degrees; right ascension from -180 to 180."
    )


class Contour(BaseModel):
    """A contour of a credible level."""

    type: Literal["Feature"] = Field(description="GeoJSON's name of it.")
    properties: ContourProperties = Field(description="What it is.")
    geometry: Lines = Field(description="Where it is.")


class Outline(BaseModel):
    """A contour of a trigger."""

    type: Literal["Feature"] = Field(description="GeoJSON's name of it.")
    properties: OutlineProperties = Field(description="What it is, and whose.")
    geometry: Lines = Field(description="Where it is.")


class Contours(BaseModel):
    """The contours of a sky map."""

    type: Literal["FeatureCollection"] = Field(description="GeoJSON's name of it.")
    features: list[Contour] = Field(description="A contour each.")


class Outlines(BaseModel):
    """A part of the contours of all searched triggers."""

    type: Literal["FeatureCollection"] = Field(description="GeoJSON's name of it.")
    features: list[Outline] = Field(description="A contour each.")
    next: str | None = Field(description="Cursor of the next part; null at the end.")
