// What OHIF shows, asked of cornerstone's own state and of the screen. Positions are those of a DICOM SCOORD: x (columns)
// and y (rows) of the source image, from the top left corner of its top left pixel. A box is [x0, y0, x1, y1].
window.looking = {
  viewports: () =>
    (window.cornerstone?.getRenderingEngines() ?? [])
      .flatMap(engine => engine.getViewports())
      .filter(viewport => viewport.element?.isConnected),

  viewport: id => looking.viewports().find(viewport => viewport.id === id),

  /** How many viewports have drawn their image; 0 while one of them has not. */
  drawn: () => {
    const viewports = looking.viewports();
    return viewports.every(v => v.viewportStatus === 'rendered' && v.getImageData?.()) ? viewports.length : 0;
  },

  /** The grid's viewports in the order of the screen. */
  grid: () => [...window.services.viewportGridService.getState().viewports.keys()],

  instance: imageId => imageId?.match(/\/instances\/([0-9.]+)/)?.[1],

  /** The SOP Instance UID of the image in a viewport. */
  image: id => looking.instance(looking.viewport(id)?.getCurrentImageId?.()),

  /** Segments on an image: label → its colour, and its pixels as run lengths (rows one after the other, outside first). */
  segments: instance => {
    const { state, config } = window.cornerstoneTools.segmentation;
    const viewport = looking.viewports().find(one => looking.image(one.id) === instance).id;
    const found = {};
    for (const { segmentationId, segments, representationData } of state.getSegmentations()) {
      for (const imageId of representationData.Labelmap?.imageIds ?? []) {
        const image = window.cornerstone.cache.getImage(imageId);
        if (looking.instance(image?.referencedImageId) !== instance) continue;
        for (const [number, { label }] of Object.entries(segments)) {
          const runs = looking.runs(image.voxelManager.getScalarData(), Number(number));
          const colour = [...config.color.getSegmentIndexColor(viewport, segmentationId, Number(number))].slice(0, 3);
          if (runs.length > 1) found[label] = { rows: image.rows, columns: image.columns, runs, colour };
        }
      }
    }
    return found;
  },

  runs: (pixels, number) => {
    const runs = [];
    let [inside, begin] = [false, 0];
    for (let i = 0; i < pixels.length; i++) {
      if ((pixels[i] === number) === inside) continue;
      runs.push(i - begin);
      [inside, begin] = [!inside, i];
    }
    return [...runs, pixels.length - begin];
  },

  /** Box of all that is coloured in a viewport (images are grey, overlays are not); null where nothing is. */
  coloured: id => {
    const { canvas } = looking.viewport(id);
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const scale = canvas.clientWidth / canvas.width;
    const points = [];
    for (let i = 0, p = 0; i < data.length; i += 4, p++) {
      const [red, green, blue] = [data[i], data[i + 1], data[i + 2]];
      if (Math.max(red, green, blue) - Math.min(red, green, blue) < 40) continue;
      points.push([((p % canvas.width) + 0.5) * scale, (Math.floor(p / canvas.width) + 0.5) * scale]);
    }
    return looking.onImage(id, points);
  },

  /** Puts the outlines on an image before a report's others: OHIF opens it at its first one. */
  startReportAt: async (seriesDescription, instance) => {
    const displaySets = window.services.displaySetService.getActiveDisplaySets();
    const report = displaySets.find(one => one.SeriesDescription === seriesDescription);
    if (!report.isLoaded) await report.load();
    const onImage = ({ imageId }) => looking.instance(imageId) === instance;
    report.measurements.sort((a, b) => onImage(b) - onImage(a));
  },

  /** Outlines of reports: Tracking UID → the image each is on, and its box there. */
  outlines: () =>
    Object.fromEntries(
      window.cornerstoneTools.annotation.state
        .getAllAnnotations()
        .filter(annotation => annotation.metadata.toolName === 'DICOMSRDisplay')
        .map(({ annotationUID, metadata, data }) => {
          const toImage = point => [...window.cornerstone.utilities.worldToImageCoords(metadata.referencedImageId, point)];
          const box = looking.box(data.renderableData.POLYLINE.flat().map(toImage));
          return [annotationUID, { instance: looking.instance(metadata.referencedImageId), box }];
        })
    ),

  /** Box of the outline that is picked out (in green) in a report's viewport; null where none is drawn. */
  pickedOut: id => {
    const lines = looking.viewport(id).element.querySelectorAll('.svg-layer polyline[stroke="rgb(0, 255, 0)"]');
    return looking.onImage(id, [...lines].flatMap(line => [...line.points].map(({ x, y }) => [x, y])));
  },

  /** The box of positions on a viewport's canvas, in its image. */
  onImage: (id, points) => {
    const viewport = looking.viewport(id);
    const imageData = viewport.getImageData()?.imageData;
    const { transformWorldToIndexContinuous: toIndex } = window.cornerstone.utilities;
    const toImage = point => toIndex(imageData, viewport.canvasToWorld(point)).slice(0, 2).map(index => index + 0.5);
    return imageData && points.length ? looking.box(points.map(toImage)) : null;
  },

  box: points => {
    const [xs, ys] = [0, 1].map(axis => points.map(point => point[axis]));
    return [Math.min, Math.max].flatMap(most => [xs, ys].map(all => all.reduce((a, b) => most(a, b))));
  },
};
