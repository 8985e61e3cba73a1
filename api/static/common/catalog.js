/** The architecture: which event each service publishes and takes, as `GET /catalog` tells. */

import { get } from "./http.js";

const COLOURS = new Set(["cyan", "green", "yellow", "magenta", "blue", "red"]);

export const loadCatalog = async () => new Catalog(await get("/catalog"));

export class Catalog {
  constructor({ events, services }) {
    this.events = events;
    this.services = Object.entries(services).map(([name, spec]) => ({
      name,
      title: spec.title,
      colour: COLOURS.has(spec.colour) ? spec.colour : "ink",
      takes: spec.consumes,
      publishes: Object.keys(events).filter((type) => events[type].producer === name),
    }));
  }

  service(name) {
    return this.services.find((service) => service.name === name);
  }

  /** The name of the service that publishes events of `type`; undefined if the catalogue does not know the type. */
  producer(type) {
    return this.events[type]?.producer;
  }

  /** The services that take events of `type`. */
  takersOf(type) {
    return this.services.filter((service) => service.takes.includes(type));
  }

  /** The services with a queue. */
  get takers() {
    return this.services.filter((service) => service.takes.length > 0);
  }

  /** The services without one: what they publish starts outside. */
  get sources() {
    return this.services.filter((service) => service.takes.length === 0);
  }

  takesEverything(service) {
    return Object.keys(this.events).every((type) => service.takes.includes(type));
  }

  /** The colour of the service that publishes `type`. */
  colourOf(type) {
    return this.service(this.producer(type))?.colour ?? "ink";
  }
}
