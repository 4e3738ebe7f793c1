-- Orthanc sends every segmentation that an expert stores to mammo-node, and none of the node's own back to it.
function OnStoredInstance(instanceId, tags, metadata, origin)
   if tags['Modality'] == 'SEG' and tags['Manufacturer'] ~= 'mammo-node' then
      SendToModality(instanceId, 'mammo-node')
   end
end
