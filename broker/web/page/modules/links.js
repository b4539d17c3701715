// Where else an object or a trigger can be looked up. Nothing is asked of these sites before somebody clicks.

const SUPEREVENT = /^M?S\d{6}[a-z]+$/;
const ZTF = /^ZTF\d{2}[a-z]{7}$/;

/** [name, URL] of sites that know this position, and this name. */
export function objectLinks({ survey, object_id: name, ra_deg: ra, dec_deg: dec }) {
  const place = `${ra.toFixed(6)} ${dec < 0 ? "" : "+"}${dec.toFixed(6)}`;
  const both = encodeURIComponent(place);
  const id = encodeURIComponent(name);
  const isZtf = survey === "ztf" && ZTF.test(name);
  const brokers = {
    ALeRCE: isZtf ? `https://alerce.online/object/${id}` : `https://alerce.online/?ra=${ra}&dec=${dec}&radius=5`,
    Lasair: isZtf ? `https://lasair-ztf.lsst.ac.uk/objects/${id}/` : `https://lasair.lsst.ac.uk/objects/${id}/`,
    Fink: isZtf ? `https://ztf.fink-portal.org/${id}` : `https://lsst.fink-portal.org/${id}`,
  };
  return [
    ["Aladin", `https://aladin.cds.unistra.fr/AladinLite/?target=${both}&fov=0.08`],
    ...Object.entries(brokers),
    ["SIMBAD", `https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=${both}&CooFrame=ICRS&Radius=10&Radius.unit=arcsec`],
    ["TNS", `https://www.wis-tns.org/search?ra=${ra}&decl=${dec}&radius=5&coords_unit=arcsec`],
  ];
}

/** [name, URL] of sites that know this trigger; the notices' own links come last. */
export function triggerLinks({ id, names, mission, links }) {
  const called = [...names, id.split(":").at(-1)];
  const superevent = called.find((name) => SUPEREVENT.test(name));
  const found = [];
  if (superevent) found.push(["GraceDB", `https://gracedb.ligo.org/superevents/${superevent}/view/`]);
  if (mission !== "upload") {
    const name = superevent ?? called.find((one) => /^(GRB|IceCube-|EP)/.test(one)) ?? called[0];
    found.push(["GCN circulars", `https://gcn.nasa.gov/circulars?query=${encodeURIComponent(name)}`]);
  }
  return [...found, ...Object.entries(links ?? {})];
}
